//! The handshake.

/// The form of the handshake a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The one of the specification: random bytes, echoed (`RTMP` section 5.2).
    #[default]
    Plain,
    /// With digests, as Flash players send; servers that fall back to the plain form take it too.
    Digest,
}
