//! What lies between a socket and MQTT, one layer upon the other, without I/O:
//!
//! ```text
//!   socket ──▶ PROXY header ──▶ TLS ──▶ WebSocket ──▶ MQTT
//!          ◀──────────────────      ◀──           ◀──
//! ```
//!
//! A listener's [`Layers`] say which of them its connections have; a [`Stack`] is those of one
//! connection.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::Flow;
use super::proxy::{ProxyError, ProxyHeader};
use super::tls::{Tls, TlsError};
use super::websocket::{WebSocket, WebSocketError, WebSocketTerms};

/// The layers that a listener's connections have.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Whether a proxy stands in front and says where each connection comes from.
    pub proxy: bool,
    /// The certificates and rules of TLS, for a listener with TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// What WebSocket clients must ask for, for a WebSocket listener.
    pub websocket: Option<Arc<WebSocketTerms>>,
}

impl Layers {
    /// Whether there are none: MQTT right upon the socket.
    pub fn is_empty(&self) -> bool {
        !self.proxy && self.tls.is_none() && self.websocket.is_none()
    }
}

/// What a peer broke below MQTT.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
}

/// The layers of one connection.
#[derive(Debug)]
pub(super) struct Stack {
    proxy: Option<Box<ProxyHeader>>,
    tls: Option<Box<Tls>>,
    websocket: Option<Box<WebSocket>>,
    /// Where the proxy says that the connection comes from.
    source: Option<SocketAddr>,
}

/// Room for what passes between two layers. What a call left in it means nothing to the next.
#[derive(Debug, Default)]
pub(super) struct Between {
    plain: Vec<u8>,
    answer: Vec<u8>,
}

impl Stack {
    /// A connection of which nothing has come.
    ///
    /// # Errors
    /// When TLS cannot be begun with this configuration.
    pub(super) fn new(layers: &Layers) -> Result<Self, Fault> {
        let tls = layers.tls.clone().map(Tls::new).transpose().map_err(TlsError::from)?;
        Ok(Self {
            proxy: layers.proxy.then(Box::default),
            tls: tls.map(Box::new),
            websocket: layers.websocket.clone().map(|terms| Box::new(WebSocket::new(terms))),
            source: None,
        })
    }

    /// Bytes of the socket: those of MQTT are appended to `above`, answers for the socket to
    /// `below`. The bytes are changed.
    ///
    /// # Errors
    /// What the peer broke; what is to be said of that is appended to `below`, and nothing more
    /// may be received.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        between: &mut Between,
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Flow, Fault> {
        let mut start = 0;
        if let Some(header) = &mut self.proxy {
            let mut rest: &[u8] = bytes;
            let Some(proxied) = header.receive(&mut rest)? else { return Ok(Flow::Going) };
            start = bytes.len() - rest.len();
            self.source = proxied.source;
            self.proxy = None;
        }
        let bytes = &mut bytes[start..];
        match (&mut self.tls, &mut self.websocket) {
            (None, None) => {
                above.extend_from_slice(bytes);
                Ok(Flow::Going)
            }
            (Some(tls), None) => Ok(tls.receive(bytes, above, below)?),
            (None, Some(websocket)) => Ok(websocket.receive(bytes, above, below)?),
            (Some(tls), Some(websocket)) => secure(tls, websocket, bytes, between, above, below),
        }
    }

    /// Bytes of MQTT, for the socket.
    ///
    /// # Errors
    /// When TLS cannot say them.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        between: &mut Between,
        below: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Some(websocket) = &mut self.websocket else { return self.encrypt(bytes, below) };
        match &mut self.tls {
            None => websocket.send(bytes, below),
            Some(tls) => {
                between.answer.clear();
                websocket.send(bytes, &mut between.answer);
                tls.send(&between.answer, below)?;
            }
        }
        Ok(())
    }

    /// Answers that need not come at once, now that the others have gone: pongs.
    ///
    /// # Errors
    /// When TLS cannot say them.
    pub(super) fn answer(
        &mut self,
        between: &mut Between,
        below: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Some(websocket) = &mut self.websocket else { return Ok(()) };
        match &mut self.tls {
            None => websocket.answer_ping(below),
            Some(tls) => {
                between.answer.clear();
                websocket.answer_ping(&mut between.answer);
                tls.send(&between.answer, below)?;
            }
        }
        Ok(())
    }

    /// Says, on each layer, that no more will come.
    pub(super) fn finish(&mut self, below: &mut Vec<u8>) {
        match (&mut self.tls, &mut self.websocket) {
            (None, None) => {}
            (None, Some(websocket)) => websocket.finish(below),
            (Some(tls), websocket) => {
                let mut answer = Vec::new();
                if let Some(websocket) = websocket {
                    websocket.finish(&mut answer);
                }
                // What TLS cannot say, nobody can be told.
                let _ = tls.send(&answer, below);
                tls.finish(below);
            }
        }
    }

    /// Whether MQTT may be spoken: every layer's handshake is over.
    pub(super) fn is_open(&self) -> bool {
        self.proxy.is_none()
            && self.tls.as_ref().is_none_or(|tls| tls.is_open())
            && self.websocket.as_ref().is_none_or(|websocket| websocket.is_open())
    }

    /// Where the connection comes from, if a proxy has said it.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// The client's certificate and those above it; none where it has not shown any.
    pub(super) fn client_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().map_or(&[], |tls| tls.client_certificates())
    }

    fn encrypt(&mut self, bytes: &[u8], below: &mut Vec<u8>) -> Result<(), Fault> {
        match &mut self.tls {
            Some(tls) => tls.send(bytes, below)?,
            None => below.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// WebSocket over TLS. What the WebSocket says of a fault is said before the fault is passed on.
fn secure(
    tls: &mut Tls,
    websocket: &mut WebSocket,
    bytes: &mut [u8],
    between: &mut Between,
    above: &mut Vec<u8>,
    below: &mut Vec<u8>,
) -> Result<Flow, Fault> {
    let Between { plain, answer } = between;
    plain.clear();
    answer.clear();
    let flow = tls.receive(bytes, plain, below)?;
    let inner = websocket.receive(plain, above, answer);
    let sent = tls.send(answer, below);
    let inner = inner?;
    sent?;
    Ok(if inner == Flow::Ended { inner } else { flow })
}

#[cfg(test)]
mod tests;
