//! A link in memory that can be broken on purpose.

/// What is on its way between a session and its server, and what the link does to it.
#[derive(Debug)]
pub struct Link {
    /// Bytes the client has written and nobody has read.
    pub to_server: Vec<u8>,
    /// Bytes the server has written and nobody has read.
    pub to_client: Vec<u8>,
    /// How many bytes arrive at the client at once; 1 is the slowest reader there is.
    pub chunk_bytes: usize,
    /// How many bytes of the client the link still carries; then it breaks.
    pub to_server_left: Option<usize>,
    /// How many bytes of the server the link still carries; then it breaks.
    pub to_client_left: Option<usize>,
    is_open: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            to_server: Vec::new(),
            to_client: Vec::new(),
            chunk_bytes: usize::MAX,
            to_server_left: None,
            to_client_left: None,
            is_open: false,
        }
    }
}

impl Link {
    /// A link that is open, and as kind as this one.
    pub(super) fn open(&mut self) {
        *self = Self { chunk_bytes: self.chunk_bytes, is_open: true, ..Self::default() };
    }

    /// Whether bytes still go through.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn close(&mut self) {
        self.is_open = false;
    }

    /// Takes the client's bytes as far as it carries them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let carried = self.to_server_left.map_or(bytes.len(), |left| left.min(bytes.len()));
        if self.is_open {
            self.to_server.extend_from_slice(&bytes[..carried]);
        }
        if let Some(left) = &mut self.to_server_left {
            *left -= carried;
            self.is_open &= *left > 0;
        }
    }

    /// The next bytes for the client, as many as arrive at once.
    pub(super) fn next_chunk(&mut self) -> Vec<u8> {
        let whole = self.to_client.len().min(self.chunk_bytes);
        let carried = self.to_client_left.map_or(whole, |left| left.min(whole));
        if let Some(left) = &mut self.to_client_left {
            *left -= carried;
            self.is_open &= *left > 0;
        }
        self.to_client.drain(..carried).collect()
    }
}
