//! Tokens, from the store itself or from the server that holds it.

use std::sync::Arc;

use fineo::{
    Fineo,
    core::{Error, SystemClock, SystemEntropy, TenantId, Timestamp},
};
use fineo_server::{
    Credentials,
    auth::{TokenId, TokenInfo, TokenRequest},
    client::{Method, Sent},
    http::{
        operator::{MadeToken, NewToken},
        roles::check_role,
    },
};

use super::Engine;
use crate::failure::Failure;

impl Engine {
    /// Makes a token; the secret is shown this once.
    pub(crate) async fn make_token(&self, request: TokenRequest) -> Result<MadeToken, Failure> {
        Ok(match self {
            Self::Own(fineo) => {
                check_role(fineo, &request.tenant, request.role.as_deref()).await?;
                let (token, info) = credentials(fineo).await?.create(request).await?;
                MadeToken { token: token.reveal().to_owned(), info }
            }
            Self::Served(client) => {
                let asked = NewToken {
                    tenant: request.tenant.to_string(),
                    scopes: request.scopes,
                    role: request.role,
                    expires_at: request.expires_at.map(Timestamp::micros),
                    note: request.note,
                };
                client.ask(Method::POST, "/operator/tokens", Sent::default().with_json(&asked)?).await?
            }
        })
    }

    /// The tokens of a tenant, or of all.
    pub(crate) async fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<TokenInfo>, Failure> {
        Ok(match self {
            Self::Own(fineo) => credentials(fineo).await?.list(tenant),
            Self::Served(client) => {
                let query = tenant.map(|tenant| format!("?tenant={tenant}")).unwrap_or_default();
                client.ask(Method::GET, &format!("/operator/tokens{query}"), Sent::default()).await?
            }
        })
    }

    /// Revokes a token.
    pub(crate) async fn revoke_token(&self, id: &str) -> Result<TokenInfo, Failure> {
        let id = TokenId::new(id).ok_or_else(|| Error::not_found("no such token").with("token", id))?;
        Ok(match self {
            Self::Own(fineo) => credentials(fineo).await?.revoke(&id).await?,
            Self::Served(client) => {
                client.ask(Method::DELETE, &format!("/operator/tokens/{id}"), Sent::default()).await?
            }
        })
    }
}

async fn credentials(fineo: &Fineo) -> Result<Credentials, Error> {
    Credentials::open(Arc::clone(&fineo.parts().repo), Arc::new(SystemClock), Arc::new(SystemEntropy::new())).await
}
