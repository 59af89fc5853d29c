//! The tokens of all tenants, kept in the schema repository.

mod others;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use fineo::{
    Clock, Entropy, Error, ErrorKind, Result, SchemaRepo, TenantId, Timestamp,
    core::repo::{Compared, Keep, Subject, Version, Versioned, Write},
};
use tokio::sync::Mutex as Turn;

use super::{
    Principal, Refusal, Scopes, ScramChallenge, ScramProven, Token, TokenId, TokenInfo, TokenRequest, record::Record,
    scram, throttle::Throttle,
};

/// Where tokens are kept, among the subjects of no tenant.
const TOKENS: &str = "credentials/token/";
/// Where the server's own secret is kept.
const SECRET: &str = "credentials/secret";
/// What is kept of a token whose record could not be read, once it was revoked.
const REMOVED: &[u8] = b"";
/// The most tokens of one tenant that count at a time: a SCRAM proof is tried on each.
const TOKENS_PER_TENANT_MAX: usize = 100;
/// How often a race for one subject is run again.
const RACES_MAX: usize = 8;

/// The tokens of all tenants.
///
/// 1. A secret is kept as a hash, and for SCRAM as keys that check a proof but cannot make one.
/// 2. Whatever is wrong with a credential, the answer is the same, and so is the work done for it.
/// 3. A revocation counts at once in this process; in others that share the repository after their next
///    [`Credentials::refresh`].
pub struct Credentials {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    secret: [u8; 32],
    tokens: RwLock<BTreeMap<TokenId, Record>>,
    /// When all tokens were last read for a name that nobody had.
    looked_at: Turn<Timestamp>,
    /// Since when which unknown tokens were looked for.
    looked_for: Mutex<(Timestamp, HashSet<TokenId>)>,
    throttle: Throttle,
    /// What a credential is compared with when there is none to compare it with.
    nobody: Record,
}

impl Credentials {
    /// Reads all tokens.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository.
    pub async fn open(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let secret = own_secret(&*repo, &*clock, &*entropy).await?;
        let request = TokenRequest {
            tenant: TenantId::new("nobody")?,
            scopes: Scopes::default(),
            role: None,
            expires_at: Some(Timestamp::MIN),
            note: String::new(),
        };
        let nobody = Record::new(&Token::random(&*entropy), request, &scram::challenge(&secret, "nobody"), clock.now());
        let credentials = Self {
            repo,
            secret,
            tokens: RwLock::default(),
            looked_at: Turn::new(clock.now()),
            looked_for: Mutex::new((clock.now(), HashSet::new())),
            throttle: Throttle::default(),
            nobody,
            clock,
            entropy,
        };
        credentials.refresh().await?;
        Ok(credentials)
    }

    /// The source of time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of chance.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    /// Whether there is any token that counts now.
    pub fn is_empty(&self) -> bool {
        let now = self.clock.now();
        !self.read().values().any(|record| record.is_valid(now))
    }

    /// Makes a token. It is shown once: what is kept of it cannot bring it back.
    ///
    /// # Errors
    ///
    /// `Invalid` when it allows nothing, or with a role too much, has expired already or has too long a note; `LimitExceeded` when the tenant has a
    /// hundred; or a failure of the repository.
    pub async fn create(&self, request: TokenRequest) -> Result<(Token, TokenInfo)> {
        let now = self.clock.now();
        request.check(now)?;
        if self.of(request.tenant.as_str(), now).len() >= TOKENS_PER_TENANT_MAX {
            return Err(Error::new(ErrorKind::LimitExceeded, "the tenant has too many tokens: revoke some")
                .with("tenant", &request.tenant)
                .with("max", TOKENS_PER_TENANT_MAX));
        }
        let token = Token::random(&*self.entropy);
        let challenge = self.scram_challenge(request.tenant.as_str());
        // The derivation is made to be slow: it must not hold up a thread that others wait for.
        let record = {
            let token = token.clone();
            tokio::task::spawn_blocking(move || Record::new(&token, request, &challenge, now)).await
        };
        let record = record.map_err(|source| Error::internal("making a token broke off").with_source(source))?;
        let write = Write {
            subject: subject_of(&record.id)?,
            expected: Version::NONE,
            body: Some(Bytes::from(record.to_bytes()?)),
        };
        if let Compared::Conflict { .. } = self.repo.append(vec![write], now).await.into_result()? {
            return Err(Error::internal("two tokens drew the same id").with("token", &record.id));
        }
        let info = record.info();
        self.write().insert(record.id.clone(), record);
        Ok((token, info))
    }

    /// The tokens of `tenant`, or of all, by id. No secret is among what is shown.
    pub fn list(&self, tenant: Option<&TenantId>) -> Vec<TokenInfo> {
        let is_wanted = |record: &&Record| tenant.is_none_or(|tenant| record.tenant == *tenant);
        self.read().values().filter(is_wanted).map(Record::info).collect()
    }

    /// Revokes a token: it opens nothing any more, and what runs in its name ends. Revoking it again changes nothing.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such token; `Corrupt` when its record could not be read: it counts no longer then, and is gone if the
    /// repository itself can read it; or a failure of the repository.
    pub async fn revoke(&self, id: &TokenId) -> Result<TokenInfo> {
        let subject = subject_of(id)?;
        for _ in 0..RACES_MAX {
            let unknown = || Error::not_found("no such token").with("token", id);
            let latest = self.repo.latest(&subject).await;
            if latest.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                self.forget(id);
            }
            let Versioned { version, body, .. } = latest?.ok_or_else(unknown)?;
            if *body == *REMOVED {
                self.forget(id);
                return Err(unknown());
            }
            let now = self.clock.now();
            let mut record = match Record::from_bytes(id.clone(), &body) {
                Ok(record) => record,
                Err(error) => {
                    let body = Some(Bytes::from_static(REMOVED));
                    let remove = Write { subject: subject.clone(), expected: version, body };
                    match self.repo.append(vec![remove], now).await.into_result()? {
                        Compared::Conflict { .. } => continue,
                        Compared::Written => {
                            self.forget(id);
                            return Err(error.with("hint", "the record is removed: nothing counts of it"));
                        }
                    }
                }
            };
            if record.revoked_at.is_none() {
                record.revoked_at = Some(now);
                let write =
                    Write { subject: subject.clone(), expected: version, body: Some(Bytes::from(record.to_bytes()?)) };
                if let Compared::Conflict { .. } = self.repo.append(vec![write], now).await.into_result()? {
                    continue;
                }
            }
            let info = record.info();
            let mut tokens = self.write();
            let known = tokens.entry(id.clone()).or_insert(record);
            known.revoked_at = known.revoked_at.or(Some(now));
            known.revoked.cancel();
            return Ok(info);
        }
        Err(Error::unavailable("others keep changing the token").with("token", id))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<TokenId, Record>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<TokenId, Record>> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tokens of `name` that count now.
    fn of(&self, name: &str, now: Timestamp) -> Vec<Record> {
        let counts = |record: &&Record| record.tenant.as_str() == name && record.is_valid(now);
        self.read().values().filter(counts).cloned().collect()
    }
}

/// Letting callers in.
impl Credentials {
    /// Who shows `token`, from the address `from`: HTTP and Flight.
    ///
    /// # Errors
    ///
    /// Why the caller is not let in; wrong credentials are all the same.
    pub async fn verify_token(&self, token: &str, from: IpAddr) -> Result<Principal, Refusal> {
        self.check_address(from)?;
        let Some(token) = Token::parse(token) else {
            return self.refuse(from, "").await;
        };
        let found = match self.find(token.id()) {
            Some(record) => Some(record),
            None => {
                self.look_for(token.id()).await?;
                self.find(token.id())
            }
        };
        let record = found.as_ref().unwrap_or(&self.nobody);
        match record.recognises(&token) && record.is_valid(self.clock.now()) {
            true => Ok(record.principal()),
            false => self.refuse(from, record.tenant.as_str()).await,
        }
    }

    /// As [`Credentials::verify_token`], for a caller who also says `user`, which must be the token's tenant.
    ///
    /// # Errors
    ///
    /// As [`Credentials::verify_token`].
    pub async fn verify_password(&self, user: &str, token: &str, from: IpAddr) -> Result<Principal, Refusal> {
        let principal = self.verify_token(token, from).await?;
        match principal.tenant().as_str() == user {
            true => Ok(principal),
            false => self.refuse(from, user).await,
        }
    }

    /// What to tell a client first that wants to prove itself as `user`, whether or not there is such a tenant.
    pub fn scram_challenge(&self, user: &str) -> ScramChallenge {
        scram::challenge(&self.secret, user)
    }

    /// Who proves to know a token of the tenant `user`: `proof` is `p=` of the client's final message after base64,
    /// `message` the AuthMessage of RFC 5802. The caller has checked nonces and channel binding.
    ///
    /// # Errors
    ///
    /// As [`Credentials::verify_token`].
    pub async fn verify_scram(
        &self,
        user: &str,
        message: &[u8],
        proof: &[u8],
        from: IpAddr,
    ) -> Result<ScramProven, Refusal> {
        self.check_address(from)?;
        let Ok(proof) = <&[u8; 32]>::try_from(proof) else {
            return self.refuse(from, user).await;
        };
        let mut records = self.of(user, self.clock.now());
        if records.is_empty() {
            self.look_again().await?;
            records = self.of(user, self.clock.now());
        }
        // Nobody's record makes an unknown name cost what a known one does.
        let _ = self.nobody.verifier.accepts(message, proof);
        for record in records {
            if record.verifier.accepts(message, proof) {
                let server_signature = record.verifier.server_signature(message);
                return Ok(ScramProven { principal: record.principal(), server_signature });
            }
        }
        self.refuse(from, user).await
    }

    fn find(&self, id: &TokenId) -> Option<Record> {
        self.read().get(id).cloned()
    }

    fn check_address(&self, from: IpAddr) -> Result<(), Refusal> {
        match self.throttle.closed_for(from, self.clock.now()) {
            Some(retry_after) => Err(Refusal::Throttled { retry_after }),
            None => Ok(()),
        }
    }

    async fn refuse<T>(&self, from: IpAddr, name: &str) -> Result<T, Refusal> {
        let name: String = name.chars().take(TenantId::LEN_MAX).collect();
        let wait = self.throttle.failed(from, &name, self.clock.now());
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        Err(Refusal::Refused)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} tokens)", self.read().len())
    }
}

fn subject_of(id: &TokenId) -> Result<Subject> {
    Subject::system(&format!("{TOKENS}{id}"), Keep::Latest)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server's own secret, which the first process makes.
async fn own_secret(repo: &dyn SchemaRepo, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<[u8; 32]> {
    let subject = Subject::system(SECRET, Keep::Latest)?;
    for _ in 0..RACES_MAX {
        if let Some(found) = repo.latest(&subject).await? {
            let body = found.body.as_ref();
            return body.try_into().map_err(|_| Error::corrupt("the secret of the credentials has another length"));
        }
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        let body = Some(Bytes::copy_from_slice(&secret));
        let write = Write { subject: subject.clone(), expected: Version::NONE, body };
        if let Compared::Written = repo.append(vec![write], clock.now()).await.into_result()? {
            return Ok(secret);
        }
    }
    Err(Error::unavailable("others keep changing the secret of the credentials"))
}

#[cfg(test)]
mod tests;
