//! An object of a store as something to import.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use object_store::{GetOptions, ObjectMeta, ObjectStore, path::Path};
use tokio::sync::mpsc;

use crate::pieces::Pieces;

/// How much one request brings. A reader may be slow: no request waits for it.
const PIECE_BYTES: u64 = 8 << 20;
/// How many pieces are read ahead.
const PIECES_AHEAD: usize = 1;

/// An object as it was when it was found.
#[derive(Debug, Clone)]
pub struct Object {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl Object {
    /// The object of `store` that `meta` describes.
    pub fn new(store: Arc<dyn ObjectStore>, meta: ObjectMeta) -> Self {
        Self { store, meta }
    }

    /// The object of `store` at `path`; `options` say which of its versions, and what must be so.
    ///
    /// # Errors
    ///
    /// Whatever the store answers, such as that nothing is there.
    pub async fn find(store: &Arc<dyn ObjectStore>, path: &Path, options: GetOptions) -> object_store::Result<Self> {
        let found = store.get_opts(path, options.with_head(true)).await?.meta;
        // A store that begins at a folder answers with the whole path, which is not how it is asked.
        Ok(Self::new(Arc::clone(store), ObjectMeta { location: path.clone(), ..found }))
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.meta.size
    }

    /// Begins to read it piece by piece, as fast as its reader takes them, on the runtime that this is called on.
    ///
    /// The reader belongs on a thread that may wait. It fails when the object was written anew since it was found.
    pub fn open(self) -> Box<dyn Read + Send> {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            let mut at = 0;
            while at < self.meta.size {
                let end = (at + PIECE_BYTES).min(self.meta.size);
                let piece = self.piece(at..end).await;
                let is_last = piece.is_err();
                // It ends with its reader: then nobody takes what it sends.
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
                at = end;
            }
        });
        Box::new(Pieces::new(receiver))
    }

    async fn piece(&self, range: std::ops::Range<u64>) -> io::Result<Bytes> {
        let length = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range)).with_version(self.meta.version.clone());
        let found = self.store.get_opts(&self.meta.location, options).await.map_err(io::Error::other)?;
        if found.meta.e_tag != self.meta.e_tag || found.meta.size != self.meta.size {
            return Err(io::Error::other("the object was written anew while it was read"));
        }
        let bytes = found.bytes().await.map_err(io::Error::other)?;
        if bytes.len() as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    //! Objects longer than one request, and objects that change.

    use std::{io::Read, sync::Arc};

    use object_store::{GetOptions, ObjectStore, ObjectStoreExt, memory::InMemory, path::Path, prefix::PrefixStore};

    use super::{Object, PIECE_BYTES};

    async fn read(object: Object) -> std::io::Result<Vec<u8>> {
        let mut reader = object.open();
        let read = move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    #[tokio::test]
    async fn an_object_is_read_whole_whatever_its_length() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("x");
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            store.put(&path, bytes.clone().into()).await.unwrap();
            let object = Object::find(&store, &path, GetOptions::new()).await.unwrap();
            assert_eq!(object.length(), length);
            assert!(read(object).await.unwrap() == bytes, "{length} bytes");
        }
    }

    #[tokio::test]
    async fn an_object_of_a_folder_is_read_by_its_path_there() {
        let store = Arc::new(InMemory::new());
        store.put(&Path::from("drops/t/x"), "here".into()).await.unwrap();
        let folder: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, "drops"));
        let object = Object::find(&folder, &Path::from("t/x"), GetOptions::new()).await.unwrap();
        assert_eq!(read(object).await.unwrap(), b"here");
    }

    #[tokio::test]
    async fn an_object_that_was_written_anew_is_not_read_as_if_it_were_the_same() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("x");
        store.put(&path, "first".into()).await.unwrap();
        let object = Object::find(&store, &path, GetOptions::new()).await.unwrap();
        store.put(&path, "other".into()).await.unwrap();
        let error = read(object).await.unwrap_err();
        assert!(error.to_string().contains("written anew"), "{error}");
    }
}
