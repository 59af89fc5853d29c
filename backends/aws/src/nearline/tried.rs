//! Tries whether a table gives back what cells are stored as: an emulator may write numbers in another way.

use fineo_core::{Error, ErrorKind, Result};

use super::{DynamoNearline, key, value};

/// Texts that are stored as numbers and truth values, up to the bounds of what is.
const TRIED: [&str; 7] =
    ["0", "-7", "100000", "0.000001", "1234.000000001", "99999999999999999999999999999999999999", "true"];

impl DynamoNearline {
    /// Puts an item with cells of every type, reads it and takes it out.
    ///
    /// # Errors
    ///
    /// `Unsupported` when another text comes back, or a failure of the service.
    pub(crate) async fn try_out(&self) -> Result<()> {
        let key = key::item("t:", self.table.nonce());
        let mut item = key.clone();
        item.extend(TRIED.map(|text| (format!("_fineo_{text}"), value::attribute_of(text))));
        self.table.put_all(vec![item]).await?;
        let found = self.table.item(key.clone()).await?.unwrap_or_default();
        self.table.delete_all(vec![key]).await?;
        for text in TRIED {
            let read = found.get(&format!("_fineo_{text}")).and_then(value::cell_of);
            if read != Some(text) {
                return Err(Error::new(ErrorKind::Unsupported, "the table does not keep numbers as they are written")
                    .with("table", &self.table.name)
                    .with("written", text)
                    .with("read", read.unwrap_or("nothing"))
                    .with(
                        "hint",
                        "choose an emulator that writes numbers as DynamoDB does: in full, without an exponent",
                    ));
            }
        }
        Ok(())
    }
}
