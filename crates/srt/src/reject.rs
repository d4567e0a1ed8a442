//! Why a connection is refused, as handshakes carry it.

use std::fmt;

/// The number that is added to a code to make a handshake type of it.
const HANDSHAKE_TYPE_BASE: u32 = 1000;

/// A reason to refuse a connection (draft section 4.3, table of rejection reasons). Codes below 1000 are of the protocol, those
/// from 1000 on resemble HTTP (`1404` is a stream that does not exist), those from 2000 on are an application's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reject(u32);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl Reject {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// What the code means, for people.
            pub fn meaning(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    0..1000 => "refused for an unknown reason",
                    1000..2000 => "refused by the application",
                    _ => "refused for a reason of the application's own",
                }
            }
        }
    };
}

reasons! {
    /// No reason is given.
    UNKNOWN = 0, "refused without a reason";
    /// A system call failed.
    SYSTEM = 1, "a system call of the peer failed";
    /// The peer refuses without saying why.
    PEER = 2, "refused by the peer";
    /// No resources for the connection.
    RESOURCE = 3, "the peer has no resources for the connection";
    /// The handshake makes no sense.
    ROGUE = 4, "the handshake makes no sense";
    /// Too many connections wait.
    BACKLOG = 5, "too many connections wait";
    /// A bug.
    INTERNAL = 6, "an error inside the peer";
    /// The peer is closing.
    CLOSE = 7, "the peer is closing";
    /// A version that is too old.
    VERSION = 8, "the version is too old";
    /// Cookies of a rendezvous collide.
    RENDEZVOUS_COOKIE = 9, "the cookies of the rendezvous are the same";
    /// Wrong passphrase.
    BAD_SECRET = 10, "the passphrase is wrong";
    /// One end has a passphrase and the other has none.
    UNSECURE = 11, "a passphrase is missing at one end";
    /// Stream mode against message mode.
    MESSAGE_API = 12, "only one end wants to send messages instead of a stream of bytes";
    /// Different congestion control.
    CONGESTION = 13, "the congestion control is another";
    /// A packet filter that is not offered.
    FILTER = 14, "the packet filter is not offered";
    /// A group that is not offered.
    GROUP = 15, "the group is not offered";
    /// No answer in time.
    TIMEOUT = 16, "no answer in time";
    /// A cipher that is not offered.
    CRYPTO = 17, "the cipher is not offered";
    /// A syntax error in the stream id.
    BAD_REQUEST = 1400, "the stream id makes no sense";
    /// A key or password is wrong or missing.
    UNAUTHORIZED = 1401, "not authorized";
    /// Too much load.
    OVERLOAD = 1402, "the server has too much to do";
    /// Not allowed.
    FORBIDDEN = 1403, "not allowed";
    /// No such stream.
    NOT_FOUND = 1404, "no such stream";
    /// The mode of the stream id is not offered for this stream.
    BAD_MODE = 1405, "this stream is not for that";
    /// Something in the stream id is not acceptable.
    UNACCEPTABLE = 1406, "the stream id asks for something that is not offered";
    /// Somebody else publishes there.
    CONFLICT = 1409, "somebody else publishes there";
    /// The format of the media is not supported.
    MEDIA = 1415, "the format of the media is not supported";
    /// An error in the server.
    SERVER_ERROR = 1500, "an error inside the server";
    /// Not implemented.
    UNIMPLEMENTED = 1501, "not implemented";
    /// The server is in maintenance.
    DOWN = 1503, "the server is down for maintenance";
}

impl Reject {
    /// The reason with this code; larger ones than a handshake can carry become [`Reject::UNKNOWN`].
    pub fn new(code: u32) -> Self {
        if code < i32::MAX as u32 - HANDSHAKE_TYPE_BASE { Self(code) } else { Self::UNKNOWN }
    }

    /// The code, 0 to about 2^31.
    pub fn code(self) -> u32 {
        self.0
    }

    pub(crate) fn handshake_type(self) -> u32 {
        HANDSHAKE_TYPE_BASE + self.0
    }

    /// `None` where `kind` is no refusal.
    pub(crate) fn from_handshake_type(kind: u32) -> Option<Self> {
        (HANDSHAKE_TYPE_BASE..i32::MAX as u32).contains(&kind).then(|| Self(kind - HANDSHAKE_TYPE_BASE))
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.meaning(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_cross_the_handshake_and_requests_are_no_codes() {
        for code in [0, 16, 1404, 2000, 100_000] {
            let reject = Reject::new(code);
            assert_eq!(Reject::from_handshake_type(reject.handshake_type()), Some(reject));
        }
        for kind in [0, 1, 999, 0xffff_ffff, 0xffff_fffd, i32::MAX as u32] {
            assert_eq!(Reject::from_handshake_type(kind), None);
        }
        assert_eq!(Reject::new(u32::MAX), Reject::UNKNOWN);
        assert_eq!(Reject::new(1404).to_string(), "no such stream (1404)");
        assert_eq!(Reject::new(1999).meaning(), "refused by the application");
    }
}
