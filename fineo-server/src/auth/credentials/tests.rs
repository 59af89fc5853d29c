//! Who is let in, and who is not.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fineo::{
    Clock, Entropy, Error, ErrorKind, Result, SchemaRepo, TenantId, Timestamp,
    core::{
        ManualClock, Outcome, SeededEntropy,
        repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
    },
    memory::MemoryRepo,
};
use ring::{digest, hmac, pbkdf2};

use super::{Credentials, Scopes, ScramChallenge, Token, TokenRequest};
use crate::{Scope, auth::Refusal};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const HOUR_MICROS: i64 = 3_600_000_000;

/// A repository whose reads are counted, and which cannot read what is damaged.
#[derive(Debug, Default)]
struct Worn {
    inner: MemoryRepo,
    damaged: Mutex<Option<String>>,
    reads: AtomicUsize,
}

impl fmt::Display for Worn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("worn")
    }
}

#[async_trait]
impl SchemaRepo for Worn {
    fn capabilities(&self) -> RepoCapabilities {
        self.inner.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.damaged.lock().unwrap().as_deref() == Some(subject.name()) {
            return Err(Error::corrupt("a page is damaged"));
        }
        self.inner.latest(subject).await
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.inner.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        self.inner.append(writes, now).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        self.inner.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.inner.tenants().await
    }
}

struct Office {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
}

impl Office {
    fn new() -> Self {
        let start = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        Self {
            repo: Arc::new(MemoryRepo::new()),
            clock: Arc::new(ManualClock::new(start)),
            entropy: Arc::new(SeededEntropy::new(1)),
        }
    }

    async fn open(&self) -> Credentials {
        Credentials::open(Arc::clone(&self.repo), self.clock.clone(), Arc::clone(&self.entropy)).await.unwrap()
    }

    fn request(&self, tenant: &str) -> TokenRequest {
        TokenRequest {
            tenant: TenantId::new(tenant).unwrap(),
            scopes: Scopes::from_iter([Scope::Query]),
            role: None,
            expires_at: Some(self.clock.now().plus_micros(HOUR_MICROS)),
            note: String::new(),
        }
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// What a client sends who knows `token`.
fn proof_of(token: &Token, challenge: &ScramChallenge, message: &[u8]) -> Vec<u8> {
    let mut salted = [0; 32];
    let password = token.reveal().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, challenge.iterations, &challenge.salt, password, &mut salted);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let signature = sign(stored_key.as_ref(), message);
    client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect()
}

// P1, P6
#[tokio::test]
async fn a_token_opens_its_tenant_for_its_scopes_and_is_kept_by_every_later_process() {
    let office = Office::new();
    let (token, _) = office.open().await.create(office.request("acme")).await.unwrap();
    let principal = office.open().await.verify_token(token.reveal(), HERE).await.unwrap();
    assert_eq!(principal.tenant().as_str(), "acme");
    assert!(principal.scopes().allow(Scope::Query));
    assert!(!principal.scopes().allow(Scope::Ingest) && !principal.scopes().allow(Scope::Admin));
    assert!(office.repo.tenants().await.unwrap().is_empty(), "a token makes no tenant");
}

// P6, T4
#[tokio::test]
async fn every_wrong_credential_has_the_same_answer() {
    let office = Office::new();
    let credentials = office.open().await;
    let (token, _) = credentials.create(office.request("acme")).await.unwrap();
    let (gone, _) = credentials.create(office.request("acme")).await.unwrap();
    credentials.revoke(gone.id()).await.unwrap();
    let other_secret = Token::random(&SeededEntropy::new(9)).reveal()[23..].to_owned();
    let wrong = [
        String::new(),
        "x".repeat(100_000),
        token.reveal().to_uppercase(),
        format!("{}0", token.reveal()),
        format!("fineo_{}_{other_secret}", token.id()),
        format!("fineo_0000000000000000_{other_secret}"),
        gone.reveal().to_owned(),
    ];
    for text in &wrong {
        let refusal = credentials.verify_token(text, HERE).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Refused), "{refusal:?}");
    }
    assert!(credentials.verify_password("bolt", token.reveal(), HERE).await.is_err());
    assert!(credentials.verify_password("acme", token.reveal(), HERE).await.is_ok());
}

// P4
#[tokio::test]
async fn a_token_ends_when_it_expires_or_is_revoked_also_in_another_process() {
    let office = Office::new();
    let (first, second) = (office.open().await, office.open().await);
    let (token, _) = first.create(office.request("acme")).await.unwrap();
    office.clock.advance(Duration::from_secs(2));
    let principal = second.verify_token(token.reveal(), HERE).await.unwrap();
    assert!(principal.is_valid(office.clock.now()));
    first.revoke(token.id()).await.unwrap();
    second.refresh().await.unwrap();
    assert!(!principal.is_valid(office.clock.now()));
    principal.ended(&*office.clock).await;

    let (token, _) = first.create(office.request("acme")).await.unwrap();
    let principal = first.verify_token(token.reveal(), HERE).await.unwrap();
    office.clock.advance(Duration::from_secs(3_600));
    assert!(!principal.is_valid(office.clock.now()));
    principal.ended(&*office.clock).await;
    assert!(first.verify_token(token.reveal(), HERE).await.is_err());
    assert!(first.is_empty());
}

// P4
#[tokio::test]
async fn a_token_that_cannot_be_read_counts_no_longer_and_the_others_do() {
    let office = Office::new();
    let (first, second) = (office.open().await, office.open().await);
    let (broken, _) = first.create(office.request("acme")).await.unwrap();
    let (token, _) = first.create(office.request("acme")).await.unwrap();
    office.clock.advance(Duration::from_secs(2));
    second.verify_token(broken.reveal(), HERE).await.unwrap();
    let subject = super::subject_of(broken.id()).unwrap();
    let expected = office.repo.latest(&subject).await.unwrap().unwrap().version;
    let write = Write { subject, expected, body: Some("junk".into()) };
    office.repo.append(vec![write], office.clock.now()).await.into_result().unwrap();
    for credentials in [&second, &office.open().await] {
        credentials.refresh().await.unwrap();
        assert!(credentials.verify_token(broken.reveal(), HERE).await.is_err());
        credentials.verify_token(token.reveal(), HERE).await.unwrap();
    }
    assert_eq!(second.revoke(broken.id()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(second.revoke(broken.id()).await.unwrap_err().kind(), ErrorKind::NotFound);
}

// P4, T8
#[tokio::test]
async fn a_token_that_the_repository_cannot_read_ends_alone() {
    let worn = Arc::new(Worn::default());
    let office = Office { repo: worn.clone(), ..Office::new() };
    let (first, second) = (office.open().await, office.open().await);
    let (broken, _) = first.create(office.request("acme")).await.unwrap();
    let (gone, _) = first.create(office.request("acme")).await.unwrap();
    let (token, _) = first.create(office.request("acme")).await.unwrap();
    second.refresh().await.unwrap();
    let principal = second.verify_token(broken.reveal(), HERE).await.unwrap();
    *worn.damaged.lock().unwrap() = Some(super::subject_of(broken.id()).unwrap().name().to_owned());
    first.revoke(gone.id()).await.unwrap();
    assert_eq!(first.revoke(broken.id()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    for credentials in [&first, &second, &office.open().await] {
        credentials.refresh().await.unwrap();
        assert!(credentials.verify_token(broken.reveal(), HERE).await.is_err());
        assert!(credentials.verify_token(gone.reveal(), HERE).await.is_err());
        credentials.verify_token(token.reveal(), HERE).await.unwrap();
    }
    assert!(!principal.is_valid(office.clock.now()));
}

// P4
#[tokio::test]
async fn a_token_that_was_removed_elsewhere_is_honoured_no_longer() {
    let office = Office::new();
    let (first, second) = (office.open().await, office.open().await);
    let (broken, _) = first.create(office.request("acme")).await.unwrap();
    second.refresh().await.unwrap();
    let here = first.verify_token(broken.reveal(), HERE).await.unwrap();
    let there = second.verify_token(broken.reveal(), HERE).await.unwrap();
    let subject = super::subject_of(broken.id()).unwrap();
    let expected = office.repo.latest(&subject).await.unwrap().unwrap().version;
    let write = Write { subject, expected, body: Some("junk".into()) };
    office.repo.append(vec![write], office.clock.now()).await.into_result().unwrap();
    assert_eq!(first.revoke(broken.id()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!here.is_valid(office.clock.now()), "in the process that removed it");
    second.refresh().await.unwrap();
    assert!(!there.is_valid(office.clock.now()), "in another");
}

// P6, W12
#[tokio::test]
async fn an_unknown_token_costs_one_read_however_many_there_are() {
    let worn = Arc::new(Worn::default());
    let office = Office { repo: worn.clone(), ..Office::new() };
    let (first, second) = (office.open().await, office.open().await);
    for _ in 0..5 {
        first.create(office.request("acme")).await.unwrap();
    }
    let (token, _) = first.create(office.request("acme")).await.unwrap();
    office.clock.advance(Duration::from_secs(2));
    let before = worn.reads.load(Ordering::Relaxed);
    let unknown = Token::random(&SeededEntropy::new(9));
    second.verify_token(unknown.reveal(), HERE).await.unwrap_err();
    second.verify_token(unknown.reveal(), HERE).await.unwrap_err();
    assert_eq!(worn.reads.load(Ordering::Relaxed) - before, 1);
    office.clock.advance(Duration::from_secs(2));
    second.verify_token(token.reveal(), HERE).await.unwrap();
    // Another one that is new comes in the same second as unknown ones.
    let (other, _) = first.create(office.request("acme")).await.unwrap();
    second.verify_token(other.reveal(), HERE).await.unwrap();
    let before = worn.reads.load(Ordering::Relaxed);
    for seed in 1..50 {
        let outcome = second.look_for(Token::random(&SeededEntropy::new(seed)).id()).await;
        // Where nobody looked, nobody says that there is none.
        assert_eq!(matches!(outcome, Err(Refusal::Throttled { .. })), seed > 18, "{outcome:?}");
    }
    assert_eq!(
        worn.reads.load(Ordering::Relaxed) - before,
        18,
        "so many strangers are asked for in a second, and no more"
    );
    let before = worn.reads.load(Ordering::Relaxed);
    let guesses = (0..3).map(|_| second.verify_scram("bolt", b"", &[0; 32], HERE));
    futures::future::join_all(guesses).await;
    assert_eq!(worn.reads.load(Ordering::Relaxed) - before, 7, "who guesses names at once has all read once");
}

// P6, W11
#[tokio::test]
async fn a_proof_with_any_token_of_the_tenant_is_accepted_and_none_of_another() {
    let office = Office::new();
    let credentials = office.open().await;
    let (first, _) = credentials.create(office.request("acme")).await.unwrap();
    let (second, _) = credentials.create(office.request("acme")).await.unwrap();
    let (other, _) = credentials.create(office.request("bolt")).await.unwrap();
    let message = b"n=,r=abc,r=abcdef,s=c2FsdA==,i=4096,c=biws,r=abcdef";
    let challenge = credentials.scram_challenge("acme");
    for (token, is_right) in [(&first, true), (&second, true), (&other, false)] {
        let proof = proof_of(token, &challenge, message);
        let proven = credentials.verify_scram("acme", message, &proof, HERE).await;
        assert_eq!(proven.is_ok(), is_right);
        assert_eq!(proven.map(|proven| proven.principal.token().clone()).ok(), is_right.then(|| token.id().clone()));
    }
    for proof in [&[][..], &[0; 31], &[0; 32], &[0; 33]] {
        assert!(credentials.verify_scram("acme", message, proof, HERE).await.is_err());
        assert!(credentials.verify_scram("nobody", message, proof, HERE).await.is_err());
    }
}

// W12
#[tokio::test]
async fn a_guesser_is_no_longer_heard_and_locks_nobody_else_out() {
    let office = Office::new();
    let credentials = office.open().await;
    let (token, _) = credentials.create(office.request("acme")).await.unwrap();
    let guesser: IpAddr = "10.0.0.1".parse().unwrap();
    for _ in 0..10 {
        let _ = credentials.verify_scram("acme", b"", &[0; 32], guesser).await;
    }
    for _ in 10..20 {
        let attempt = credentials.verify_scram("acme", b"", &[0; 32], guesser);
        let (attempt, ()) = tokio::join!(attempt, async { office.clock.advance(Duration::from_millis(500)) });
        assert!(matches!(attempt.unwrap_err(), Refusal::Refused));
    }
    let refusal = credentials.verify_token(token.reveal(), guesser).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Throttled { .. }));
    assert!(credentials.verify_token(token.reveal(), HERE).await.is_ok());
}

// P6
#[tokio::test]
async fn nothing_that_can_be_printed_or_is_kept_holds_the_secret() {
    let office = Office::new();
    let credentials = office.open().await;
    let (token, info) = credentials.create(office.request("acme")).await.unwrap();
    let principal = credentials.verify_token(token.reveal(), HERE).await.unwrap();
    let secret = &token.reveal()[23..];
    let listed = serde_json::to_string(&credentials.list(None)).unwrap();
    let shown = format!("{token:?} {info:?} {principal:?} {credentials:?} {listed}");
    assert!(!shown.contains(secret), "{shown}");
    for subject in office.repo.subjects(None, "").await.unwrap() {
        let kept = office.repo.latest(&subject).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&kept.body).contains(secret));
    }
}

#[tokio::test]
async fn a_token_that_is_good_for_nothing_is_not_made() {
    let office = Office::new();
    let credentials = office.open().await;
    let mut without_scope = office.request("acme");
    without_scope.scopes = Scopes::default();
    let mut over = office.request("acme");
    over.expires_at = Some(office.clock.now());
    let mut odd = office.request("acme");
    odd.note = "a\nb".to_owned();
    for request in [without_scope, over, odd] {
        assert!(credentials.create(request).await.is_err());
    }
    assert!(credentials.is_empty());
}
