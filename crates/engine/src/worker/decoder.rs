//! The process that decodes a source, once for all its rungs.

use super::memory::Shared;
use super::regions::Finder;
use super::{Failed, Server};
use crate::av::{Decoder, Device, Error, Frame, Normalizer, Scaler};
use crate::decode;
use crate::ipc::{Coded, Order, Report};
use crate::limits::{FRAMES_IN_VAIN_MAX, ORDERS_WAITING_MAX, SLOTS};
use std::collections::{BTreeSet, VecDeque};

/// Keyframes that are remembered until they come out: more than any decoder holds back.
const KEYFRAMES_MAX: usize = 64;

struct State<'a> {
    server: &'a mut Server,
    maker: Maker,
    memory: Shared,
    free: Vec<u8>,
    /// What was said while it waited for a slot.
    waiting: VecDeque<Order>,
    keyframes: BTreeSet<i64>,
    normalizer: Normalizer,
    scaler: Option<Scaler>,
    /// There if somebody wants to know what people look at.
    finder: Option<Finder>,
    frame: Frame,
    /// Frames in a row of which nothing came.
    in_vain: usize,
    /// The server has ended the connection.
    is_over: bool,
}

/// How decoders are opened here.
pub(super) struct Maker {
    by: decode::Backend,
    codec: media::Codec,
    threads: u8,
    /// Opened with the first decoder.
    device: Option<Device>,
}

impl Maker {
    pub(super) fn new(by: decode::Backend, codec: media::Codec, threads: u8) -> Self {
        Self { by, codec, threads, device: None }
    }

    pub(super) fn open(&mut self, record: &[u8]) -> Result<Decoder, String> {
        if !self.by.is_hardware() {
            return Decoder::open(self.codec, record, self.threads);
        }
        if self.device.is_none() {
            self.device = Device::open(self.by)?;
        }
        Decoder::open_on(self.by, self.device.as_ref(), self.codec, record)
    }
}

pub(super) fn run(
    server: &mut Server,
    memory: Shared,
    (by, codec, threads): (decode::Backend, media::Codec, u8),
    busy: &[u8],
) -> Result<(), Failed> {
    let mut state = State {
        server,
        maker: Maker::new(by, codec, threads),
        memory,
        free: (0..SLOTS).rev().filter(|slot| !busy.contains(slot)).collect(),
        waiting: VecDeque::new(),
        keyframes: BTreeSet::new(),
        normalizer: Normalizer::default(),
        scaler: None,
        finder: None,
        frame: Frame::new().map_err(|error| Failed(error.to_string()))?,
        in_vain: 0,
        is_over: false,
    };
    let mut record: Vec<u8> = Vec::new();
    let mut decoder: Option<Decoder> = None;
    while let Some(order) = state.next()? {
        match order {
            Order::Configure(new) => {
                // What the old one holds is shown before.
                if let Some(mut old) = decoder.take() {
                    state.drain(&mut old, None)?;
                }
                record = new;
            }
            Order::Packet(coded) => {
                let decoder = match &mut decoder {
                    Some(decoder) => decoder,
                    None => decoder.insert(state.maker.open(&record).map_err(Failed)?),
                };
                state.drain(decoder, Some(&coded))?;
            }
            // Shown now, what it holds would be without the pictures in between that did not come yet.
            Order::Rejoin => {
                decoder = None;
                state.keyframes.clear();
                state.server.report(&Report::Ready)?;
            }
            Order::Look(keyframe) => state.rehearse(&record, &keyframe)?,
            Order::End => {
                if let Some(mut decoder) = decoder.take() {
                    state.drain(&mut decoder, None)?;
                }
                state.server.report(&Report::Done)?;
                return Ok(());
            }
            Order::Free(slot) => state.give_back(slot),
            Order::Find(finds) => state.finder = finds.then(Finder::default),
            _ => return Err(Failed("an order for an encoder".to_owned())),
        }
    }
    Ok(())
}

impl State<'_> {
    /// The next order, those first that had to wait; `None` when the server is gone.
    fn next(&mut self) -> Result<Option<Order>, Failed> {
        if self.is_over {
            return Ok(None);
        }
        match self.waiting.pop_front() {
            Some(order) => Ok(Some(order)),
            None => Ok(self.server.receive()?),
        }
    }

    fn give_back(&mut self, slot: u8) {
        if slot < SLOTS && !self.free.contains(&slot) {
            self.free.push(slot);
        }
    }

    /// A slot to write into. The server pushes nothing more while all are in use; what is on its way already waits here.
    fn slot(&mut self) -> Result<Option<u8>, Failed> {
        loop {
            if let Some(slot) = self.free.pop() {
                return Ok(Some(slot));
            }
            match self.server.receive()? {
                None => {
                    self.is_over = true;
                    return Ok(None);
                }
                Some(Order::Free(slot)) => self.give_back(slot),
                // What was under way before the server saw that there are no slots.
                Some(order) if self.waiting.len() < ORDERS_WAITING_MAX => self.waiting.push_back(order),
                Some(_) => return Err(Failed("more waits than was under way".to_owned())),
            }
        }
    }

    /// Decodes `coded`, or what is left, and shows what comes out.
    fn drain(&mut self, decoder: &mut Decoder, coded: Option<&Coded>) -> Result<(), Failed> {
        if let Some(coded) = coded.filter(|coded| coded.keyframe) {
            if self.keyframes.len() >= KEYFRAMES_MAX {
                self.keyframes.pop_first();
            }
            self.keyframes.insert(coded.pts);
        }
        // A frame that cannot be decoded is left out: the next keyframe mends it.
        if let Err(error) = decoder.send(coded) {
            self.complain(decoder, error)?;
        }
        loop {
            match decoder.receive(&mut self.frame) {
                Ok(true) => {
                    self.in_vain = 0;
                    self.show()?;
                }
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.complain(decoder, error)?;
                    decoder.flush();
                    return Ok(());
                }
            }
        }
    }

    /// Says that a frame is not decoded. Where a device is to blame, or the processor may do better, this process ends: what a device does
    /// not decode is nothing for the processor here, where rights are left.
    fn complain(&mut self, decoder: &Decoder, error: Error) -> Result<(), Failed> {
        let by = self.maker.by;
        if by.is_hardware() {
            self.in_vain += 1;
            if decoder.has_refused() || self.in_vain >= FRAMES_IN_VAIN_MAX {
                self.server.report(&Report::Refused)?;
                return Err(Failed(format!("{by} does not decode this stream: {error}")));
            }
            if !error.is_of_stream() {
                return Err(Failed(format!("{by} does not decode any more: {error}")));
            }
        }
        self.server.complain(&format!("a frame is not decoded: {error}"))?;
        Ok(())
    }

    /// Tries a keyframe that nobody is to see, with a decoder of its own.
    fn rehearse(&mut self, record: &[u8], keyframe: &Coded) -> Result<(), Failed> {
        let mut decoder = self.maker.open(record).map_err(Failed)?;
        let mut seen = 0;
        for coded in [Some(keyframe), None] {
            let failed = |error| {
                Failed(format!("{} does not decode a keyframe of this stream: {error}", self.maker.by))
            };
            decoder.send(coded).map_err(failed)?;
            while decoder.receive(&mut self.frame).map_err(failed)? {
                Normalizer::default().normal(&mut self.frame, true).map_err(failed)?;
                seen += 1;
            }
        }
        if seen == 0 {
            return Err(Failed(format!("{} gives no picture for a keyframe of this stream", self.maker.by)));
        }
        self.server.report(&Report::Ready)?;
        Ok(())
    }

    fn show(&mut self) -> Result<(), Failed> {
        let Some(pts) = self.frame.pts() else { return Ok(()) };
        let Some(slot) = self.slot()? else { return Ok(()) };
        let keyframe = self.keyframes.contains(&pts);
        self.keyframes = self.keyframes.split_off(&pts);
        self.keyframes.remove(&pts);
        let memory = self.memory.slot(slot).ok_or_else(|| Failed("no such slot".to_owned()))?;
        let (width, height) = self.frame.size();
        let shared = self.normalizer.normal(&mut self.frame, keyframe).and_then(|frame| {
            Scaler::share(&mut self.scaler, frame, memory)?;
            Ok(frame.describe(slot, pts, keyframe))
        });
        let cannot = |error| Failed(format!("a picture of {width} x {height} cannot be used: {error}"));
        let picture = shared.map_err(cannot)?;
        if let Some(finder) = &mut self.finder
            && let Some(view) = Frame::over(&picture, memory)
            && let Some(regions) = finder.look(&picture, &view)
        {
            self.server.report(&Report::Regions(regions))?;
        }
        self.server.report(&Report::Picture(picture))?;
        Ok(())
    }
}
