//! Stage raw as a function, behind a mapping of the raw stream.

use fineo_core::archive::Stage;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fineo_lambda::serve_stage(Stage::Raw).await
}
