//! Shows on a terminal how far an import has come.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the display changes.
const REFRESH: Duration = Duration::from_millis(200);

/// A bar on stderr; nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `bytes_total` bytes as stored, or a counter where that is not known.
    pub(crate) fn new(bytes_total: Option<u64>) -> Self {
        let (bar, template) = match bytes_total {
            Some(total) => {
                (ProgressBar::new(total), "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {msg}")
            }
            None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec} {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(REFRESH);
        Self(bar)
    }

    /// Shows what has been read and what became of it.
    pub(crate) fn show(&self, bytes: u64, message: String) {
        self.0.set_position(bytes);
        self.0.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
