//! A link that is cut: what stands between a bridge and the other broker.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes bytes on to a port, until it is told to cut.
pub(crate) struct Cutter {
    pub(crate) port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    pub(crate) fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let own = listener.local_addr().expect("it is bound").port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&open);
        // It ends with the process.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                known.lock().expect("nobody panics with it").extend(clones(&near, &far));
                let [near_again, far_again] = clones(&near, &far);
                pass(near, far);
                pass(far_again, near_again);
            }
        });
        Self { port: own, open }
    }

    /// Cuts every link there is; whoever connects anew has one again.
    pub(crate) fn cut(&self) {
        for link in self.open.lock().expect("nobody panics with it").drain(..) {
            // The other side may have been quicker.
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}

fn clones(near: &TcpStream, far: &TcpStream) -> [TcpStream; 2] {
    [near, far].map(|link| link.try_clone().expect("a descriptor"))
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        // However it ends, both ends are to know.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
