//! Uploads in parts that only create. S3 can make the end of one depend on that there is no object, and `object_store` can
//! ask for it in copies alone: so the condition is added to the request on its way out. Like the one that `object_store`
//! sends with copies it is no part of the signature, which covers the headers that begin with `x-amz-`.

use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
};

/// Connects so that an upload is completed only where there is no object.
#[derive(Debug, Default)]
pub(super) struct CreateOnly(ReqwestConnector);

impl HttpConnector for CreateOnly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Conditional(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Conditional(HttpClient);

#[async_trait]
impl HttpService for Conditional {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let is_completion = request.method() == "POST" && query.split('&').any(|pair| pair.starts_with("uploadId="));
        if is_completion {
            request.headers_mut().insert("if-none-match", "*".parse().expect("a star is a header"));
        }
        self.0.execute(request).await
    }
}
