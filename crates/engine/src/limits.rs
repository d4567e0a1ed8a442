//! What a transcoder may use at most, and why.

use std::time::Duration;

/// One message between the server and a worker: the largest access unit that a publisher may send, and its header.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// One message of a decoder: it describes pictures, and says why it fails.
pub const DECODER_MESSAGE_BYTES_MAX: usize = 4 << 10;

/// The largest picture that is decoded, in pixels: 4096 × 2304, beyond every 16:9 camera and game that two cores can decode in
/// time.
pub const PICTURE_PIXELS_MAX: u32 = 4096 * 2304;

/// Decoded pictures that exist at once. A decoder with two threads and an encoder per rung hold one or two each; the rest
/// is what evens out their speeds.
pub const SLOTS: u8 = 16;

/// Slots of one encoder from which on it is left out of what is live: a third of a second at 30 pictures per second. The others are
/// for those that keep up.
pub const SLOTS_PER_ENCODER_MAX: usize = 10;

/// Slots of one encoder from which on it counts as the slow one when the decoder is behind.
pub const SLOTS_SLOW: usize = 5;

/// Coded packets that wait for the decoder. More would only be delay.
pub const PACKETS_QUEUED_MAX: usize = 16;

/// Packets that wait for the reader of a rung, which writes them into a log at once.
pub const OUTPUTS_QUEUED_MAX: usize = 256;

/// Messages that wait for an encoder: pictures, of which there are at most [`SLOTS`], and orders.
pub const ORDERS_QUEUED_MAX: usize = 64;

/// Packets of sound that wait for their worker: those of ten seconds, which come at once where somebody joins in the past.
pub const SOUND_QUEUED_MAX: usize = 512;

/// How long a worker of sound may sit on a packet, which takes it a millisecond: what remains is a machine that is busy.
pub const SOUND_SILENCE_MAX: Duration = Duration::from_secs(3);

/// The shortest frame of sound that is made, that of Opus: so long is what a worker of sound makes a packet of.
pub const SOUND_FRAME_MIN: Duration = Duration::from_millis(20);

/// One message of a worker of sound: a packet of it, or why it fails. The largest is an AAC frame of two channels, 1536 bytes.
pub const SOUND_MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Packets under way to a decoder, or to a worker of sound: enough that it never waits, and little delay.
pub const PACKETS_AHEAD_MAX: usize = 8;

/// Packets without an answer that make a decoder hung: more than any holds back.
pub const PACKETS_UNANSWERED_MAX: u32 = 40;

/// Frames in a row that a device says are broken, until the processor is asked: a packet or two that were lost on their way do not
/// break more.
pub const FRAMES_IN_VAIN_MAX: usize = 8;

/// Orders that a decoder keeps while it waits for a slot: as many small ones as a socket holds.
pub const ORDERS_WAITING_MAX: usize = 8192;

/// Pictures that an encoder has been given and has neither encoded nor left out: more than any looks ahead.
pub const PICTURES_HELD_BACK_MAX: usize = 250;

/// Times of packets that a decoder has not shown yet: more than any holds back, and what a stream of garbage may leave behind.
pub const TIMES_MAX: usize = 512;

/// Reports of processes that wait for the task of a transcoder.
pub const REPORTS_QUEUED_MAX: usize = 64;

/// Reports that a worker may make beyond those it has been given reason for.
pub const REPORTS_UNASKED_MAX: u32 = 100;

/// Reports for one packet or one picture: pictures of several layers, a slot, a configuration, a frame, a complaint or two. Of sound,
/// frames come beside them, one for each [`SOUND_FRAME_MIN`] of its time.
pub const REPORTS_PER_ORDER_MAX: u32 = 8;

/// The longest time between decoding a frame and showing it. Codecs reorder within a second; a time beyond that is an error of the
/// publisher, and is taken to be that of decoding.
pub const REORDER_MAX: Duration = Duration::from_secs(5);

/// Requests of handles and outlets: they are answered at once.
pub const REQUESTS_QUEUED_MAX: usize = 256;

/// Encoders of one source.
pub const RUNGS_MAX: usize = 16;

/// How long a worker may sit on its first picture or packet before it counts as hung: it opens libraries and devices for it.
pub const SILENCE_FIRST_MAX: Duration = Duration::from_secs(3);

/// How long it may sit on any other: ten times what the slowest sensible preset takes for a picture.
pub const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long it may be silent while it is ready to run and gets no processor: one that is started anew gets none either.
pub const SILENCE_STARVED_MAX: Duration = Duration::from_secs(10);

/// How long workers have for what is left when their source has ended.
pub const END_MAX: Duration = Duration::from_secs(10);

/// How far the decoder may be behind the newest packet before rungs that are too slow lose pictures.
pub const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How long a rung that has begun may be further behind than that: it starts at a keyframe in the past.
pub const CATCH_UP: Duration = Duration::from_secs(8);

/// How long one picture may take. A keyframe takes tens of milliseconds; a machine may be busy.
pub const STILL_MAX: Duration = Duration::from_secs(10);

/// A JPEG file: ten times what one of 1280 pixels takes.
pub const STILL_BYTES_MAX: usize = 4 << 20;

/// Frames that a preview is made of: two seconds of them, or keyframes alone.
pub const PREVIEW_FRAMES_MAX: usize = 60;

/// Pictures of a preview: a glance of some seconds.
pub const PREVIEW_PICTURES_MAX: usize = 10;

/// The longest side of a preview in pixels: that of a tile on a page. An animation of them takes 50 KB.
pub const PREVIEW_SIDE_MAX: u32 = 320;

/// Frames of a slate: what is shown again and again is encoded for a few seconds at most.
pub const SLATE_FRAMES_MAX: u32 = 60;

/// Frames of a slate, taken together: a keyframe of the largest picture with room to spare, and others that have nothing new.
pub const SLATE_BYTES_MAX: usize = 8 << 20;

/// How long a slate may take: an image of the largest size is scaled and encoded within a second, on a machine that is not busy.
pub const SLATE_MAX: Duration = Duration::from_secs(10);

/// Marks over the pictures of one rung: a logo, a line of text and a clock, and one more. Each is put over every picture.
pub const MARKS_MAX: usize = 4;

/// Files of all marks of one rung. They travel to its encoder in one message ([`MESSAGE_BYTES_MAX`]) beside the texts. Fonts with all letters
/// of Chinese have 8 MB.
pub const MARKS_BYTES_MAX: usize = 12 << 20;

/// Pixels of an image that is put over pictures: those of the largest picture.
pub const MARK_PIXELS_MAX: u32 = PICTURE_PIXELS_MAX;

/// Letters of a text that is put over pictures: more than a line has that can be read.
pub const MARK_LETTERS_MAX: usize = 200;

/// Parts of a picture that are kept sharper than the rest: the faces of a panel, or lines of text. What has more is sharp all over.
pub const REGIONS_MAX: usize = 16;

/// Deaths of a worker within [`DEATHS_WINDOW`] after which it is given up.
pub const DEATHS_MAX: usize = 6;

/// See [`DEATHS_MAX`].
pub const DEATHS_WINDOW: Duration = Duration::from_secs(60);

/// How long a device that has failed is left alone: a driver that begins anew is there by then, and what is tried in vain costs a rung part
/// of a second.
pub const DEVICE_REST_MIN: Duration = Duration::from_secs(30);

/// The longest such time, after several failures.
pub const DEVICE_REST_MAX: Duration = Duration::from_secs(600);

/// Sizes and codecs that are remembered because a device gave nothing for them: a server has about five rungs a stream, most of the same sizes.
pub const DEVICE_SHAPES_MAX: usize = 64;

/// Frames after which an encoder has done well: ten seconds of them. What fails afterwards is an accident and no habit.
pub const FRAMES_WELL: u64 = 300;

/// How long the test of a device may take. One that sleeps needs a second or two.
pub const PROBE_MAX: Duration = Duration::from_secs(15);

/// The same for one that decodes: its test encodes a stream first, on a machine that may be busy.
pub const PROBE_DECODER_MAX: Duration = Duration::from_secs(60);

/// How long a device may take to open and to decode a first keyframe, while the processor decodes. A card without a service that keeps it
/// awake needs seconds.
pub const DEVICE_OPEN_MAX: Duration = Duration::from_secs(15);

/// How long the queue of a device that decodes live pictures may be full: the frames that somebody begins with in the past are decoded by then.
pub const DEVICE_BEHIND_MAX: Duration = Duration::from_secs(8);

/// Pictures of 1280 × 720 per second below which a device is no help: the processor does that.
pub const DEVICE_FPS_MIN: f64 = 60.0;

/// What a driver may write into files, of which it finds but those in memory that processes share.
pub const DEVICE_FILE_BYTES_MAX: u64 = 1 << 30;

/// Address space of an encoder. SVT-AV1 at 1080p takes 1.2 GB, most of it never touched.
pub const ENCODER_ADDRESS_SPACE_BYTES_MAX: u64 = 6 << 30;

/// Address space of a decoder: twenty of the largest pictures, the shared ones, and libraries.
pub const DECODER_ADDRESS_SPACE_BYTES_MAX: u64 = 2 << 30;

/// A text in which a worker says what is wrong.
pub const WHY_BYTES_MAX: usize = 500;
