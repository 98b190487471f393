//! Stdin and stdout on Windows, where neither a console nor an anonymous pipe can be polled.
//!
//! A thread reads stdin into a bounded channel. It wakes the loop by one byte over a pair of
//! loopback UDP sockets, because mio allows one `Waker` for each poll and the workers have it.
//! A lost or a forged byte is harmless: the channel is what counts, and a byte is sent for
//! every chunk in it. Stdout is written blocking: whoever reads it slowly slows the node.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::input::Source;
use super::output::Sink;

/// Chunks that wait in the channel before the thread does.
const CHUNKS: usize = 4;
const CHUNK_LEN: usize = 16 * 1024;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Stdin, read by a thread.
pub struct Console {
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    wake: Option<UdpSocket>,
    /// What was received and not handed out yet starts at `start`.
    chunk: Vec<u8>,
    start: usize,
}

/// A standard output, written blocking.
pub struct Blocking<W>(W);

/// Stdin.
pub fn stdin() -> Console {
    Console {
        chunks: None,
        wake: None,
        chunk: Vec::new(),
        start: 0,
    }
}

/// Stdout.
pub fn stdout() -> Blocking<io::Stdout> {
    Blocking(io::stdout())
}

/// Stderr.
pub fn stderr() -> Blocking<io::Stderr> {
    Blocking(io::stderr())
}

impl Source for Console {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        let mut here = UdpSocket::bind(LOOPBACK)?;
        let there = std::net::UdpSocket::bind(LOOPBACK)?;
        there.connect(here.local_addr()?)?;
        here.connect(there.local_addr()?)?;
        registry.register(&mut here, token, Interest::READABLE)?;
        let (sender, receiver) = sync_channel(CHUNKS);
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || read_all(&sender, &there))?;
        self.wake = Some(here);
        self.chunks = Some(receiver);
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.chunk.len() {
            self.start = 0;
            self.chunk = self.receive()?;
        }
        let rest = &self.chunk[self.start..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.start += len;
        Ok(len)
    }
}

impl Console {
    /// The next chunk; an empty one is the end.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        // The bytes first, the channel second: a chunk that comes between has its byte left.
        if let Some(wake) = &self.wake {
            while wake.recv(&mut [0; 8]).is_ok() {}
        }
        match self.chunks.as_ref().map(Receiver::try_recv) {
            Some(Ok(chunk)) => chunk,
            Some(Err(TryRecvError::Disconnected)) => Ok(Vec::new()),
            Some(Err(TryRecvError::Empty)) | None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Reads until the end, an error, or nobody wants it. The process does not wait for it.
fn read_all(chunks: &SyncSender<io::Result<Vec<u8>>>, wake: &std::net::UdpSocket) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; CHUNK_LEN];
    loop {
        let result = stdin.read(&mut buffer).map(|len| buffer[..len].to_vec());
        let last = !matches!(&result, Ok(chunk) if !chunk.is_empty());
        if chunks.send(result).is_err() {
            return;
        }
        // The loop also looks at every turn in which it is woken for something else.
        let _ = wake.send(&[1]);
        if last {
            return;
        }
    }
}

impl<W: Write> Sink for Blocking<W> {
    fn watch(&mut self, _: &Registry, _: Token, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.0.flush()?;
        Ok(bytes.len())
    }

    fn wait(&mut self, _: Option<u16>) -> io::Result<bool> {
        Ok(true)
    }
}
