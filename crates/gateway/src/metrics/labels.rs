//! The closed sets that labels come from.

use std::fmt;

/// Declares a closed set of label values.
macro_rules! labels {
    ($(#[doc = $about:literal])+ $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $text:literal, )+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// All values, in order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The value as metrics and logs show it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

labels! {
    /// What a session does.
    Role {
        /// It brings a stream.
        Publish = "publish",
        /// It takes a stream.
        Play = "play",
    }
}

labels! {
    /// How a session ended.
    Outcome {
        /// The stream ended, or the publisher said it is done.
        Finished = "finished",
        /// The player or publisher closed in the ordinary way.
        Left = "left",
        /// The connection broke.
        Lost = "lost",
        /// Nothing arrived, or nothing was taken, for too long.
        Timeout = "timeout",
        /// The peer broke the protocol or sent malformed bytes.
        Violation = "violation",
        /// Another publisher took the stream over.
        TakenOver = "taken_over",
        /// The node shut down.
        Shutdown = "shutdown",
        /// A bug: the session panicked and was closed alone.
        Panic = "panic",
    }
}

labels! {
    /// Stages of a join, each measured from the moment the connection was accepted, except the last.
    JoinStage {
        /// The play request is parsed.
        Request = "request",
        /// Policy has let it in.
        Admit = "admit",
        /// The reader is attached to the stream.
        Attach = "attach",
        /// The keyframe to begin with is picked from the log.
        KeyframePicked = "keyframe_picked",
        /// From the parsed play request to the keyframe handed to the kernel: what the node adds to a start.
        KeyframeWritten = "keyframe_written",
    }
}

labels! {
    /// Why a session was not let in.
    RejectReason {
        /// No key, or a wrong one.
        Key = "key",
        /// The player knows none of the SWF files that may play.
        Swf = "swf",
        /// The name is no stream name.
        Name = "name",
        /// The stream has a publisher.
        Busy = "busy",
        /// There is no such stream (any more).
        NotFound = "not_found",
        /// A ceiling is reached.
        Limit = "limit",
        /// A relay leads in a circle.
        Loop = "loop",
        /// What was asked for is not offered.
        Unsupported = "unsupported",
        /// The node shuts down.
        Shutdown = "shutdown",
    }
}

labels! {
    /// Why a TLS handshake came to nothing.
    HandshakeFailure {
        /// The peer sent something that is not TLS.
        NotTls = "not_tls",
        /// It took too long.
        Timeout = "timeout",
        /// The peer left, or the connection broke.
        Lost = "lost",
        /// The peer did not accept us; most often it does not trust the certificate.
        Refused = "refused",
        /// The peer broke the protocol, or has no version or cipher in common with us.
        Protocol = "protocol",
    }
}

labels! {
    /// What readers told a publisher.
    FeedbackKind {
        /// A joining player cannot start without a new keyframe.
        KeyframeWanted = "keyframe_wanted",
        /// A reader fell behind and skipped.
        Starved = "starved",
        /// A publisher on stand-by became the active one.
        Promoted = "promoted",
        /// Another publisher took over.
        TakenOver = "taken_over",
    }
}

labels! {
    /// The points of a start that a player reports, each measured from the action of the viewer (t0).
    PlayerStage {
        /// t1: the connection is usable.
        Connected = "connected",
        /// t2: the request is sent.
        Requested = "requested",
        /// t3: the first byte of media is there.
        FirstByte = "first_byte",
        /// t4: the first keyframe is complete.
        Keyframe = "keyframe",
        /// t5: the first picture is on the screen.
        FirstFrame = "first_frame",
    }
}

labels! {
    /// How a web player draws.
    Renderer {
        /// Media Source Extensions.
        Mse = "mse",
        /// WebCodecs.
        Webcodecs = "webcodecs",
        /// The browser itself, from a playlist.
        Native = "native",
    }
}

labels! {
    /// Which way a relay moves a stream.
    RelayDirection {
        /// To another server.
        Push = "push",
        /// From another server.
        Pull = "pull",
    }
}

labels! {
    /// How a relay stands.
    RelayState {
        /// Its stream is not live, or nobody wants it.
        Waiting = "waiting",
        /// It is on its way to the other server.
        Connecting = "connecting",
        /// Media flows.
        Live = "live",
        /// It is connected and stands by.
        Ready = "ready",
        /// It has failed and will try again.
        Retrying = "retrying",
        /// The other server has refused; it will be asked again after longer.
        Refused = "refused",
        /// It will not try again.
        Stopped = "stopped",
    }
}
