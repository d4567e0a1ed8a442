//! `rushlight engine compare --regions`: what it saves, and what it costs, to keep what people look at sharper than the rest.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use engine::encode::{Codec, Config};
use engine::host::Launch;
use engine::rate::{Point, bd_rate};
use vision::{Area, face, text};

use super::compare::{Clip, CompareArgs, encode, judge};

/// What came of one encode.
struct Encode {
    bps: f64,
    cpu_ms_per_picture: f64,
    vmaf: f64,
    /// Signal to noise of luma in dB: of all, and of faces and text where there are any.
    db: (f64, [Option<f64>; 2]),
}

/// What people look at in each picture of a clip: faces, and text.
struct Sights {
    areas: Vec<[Vec<Area>; 2]>,
    /// The parts of all pixels.
    parts: [f64; 2],
}

/// From one look for text to the next, in pictures.
const TEXT_EVERY: usize = 10;

pub(super) async fn compare(
    args: &CompareArgs,
    launch: &Launch,
    folder: &Path,
    codec: Codec,
) -> Result<(), String> {
    println!(
        "| clip | quality | regions | kbit/s | VMAF | PSNR | PSNR of faces | of text | CPU ms per picture |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut rows = Vec::new();
    for path in &args.clips {
        let clip = Clip::open(path)?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let sights = Sights::of(args, path, &clip)?;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for quality in args.qualities(codec) {
            for regions in [false, true] {
                let config = Config {
                    quality: Some(*quality),
                    // No ceiling: what is compared is what the regions take.
                    bitrate_bps: 100_000_000,
                    regions,
                    ..args.saving(&clip, codec)
                };
                let made = one(args, launch, folder, (path, &clip, &sights), config).await?;
                let Encode { bps, vmaf, db: (all, [faces, text]), cpu_ms_per_picture } = &made;
                println!(
                    "| {name} | {quality} | {} | {:.0} | {vmaf:.2} | {all:.2} | {} | {} | {cpu_ms_per_picture:.1} |",
                    if regions { "sharper" } else { "as the rest" },
                    bps / 1e3,
                    shown(faces),
                    shown(text),
                );
                let _ = std::io::stdout().flush();
                if regions { &mut with } else { &mut without }.push(made);
            }
        }
        rows.push(summary(&name, sights.parts, &without, &with));
    }
    println!(
        "\n| clip | faces, text | bits, same PSNR of faces | of text | same VMAF | same PSNR of all | CPU |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn shown(db: &Option<f64>) -> String {
    db.map_or("-".to_owned(), |db| format!("{db:.2}"))
}

fn summary(name: &str, parts: [f64; 2], without: &[Encode], with: &[Encode]) -> String {
    let rate = |quality: &dyn Fn(&Encode) -> f64| {
        let points = |encodes: &[Encode]| -> Vec<Point> {
            encodes.iter().map(|encode| Point { bps: encode.bps, quality: quality(encode) }).collect()
        };
        bd_rate(&points(without), &points(with))
            .map_or("-".to_owned(), |rate| format!("{:+.1} %", rate * 100.0))
    };
    let of = |kind: usize| match parts[kind] > 0.0 {
        true => rate(&|encode| encode.db.1[kind].unwrap_or_default()),
        false => "-".to_owned(),
    };
    let cpu = |encodes: &[Encode]| encodes.iter().map(|encode| encode.cpu_ms_per_picture).sum::<f64>();
    format!(
        "| {name} | {:.1} %, {:.1} % | {} | {} | {} | {} | {:.2} x |",
        parts[0] * 100.0,
        parts[1] * 100.0,
        of(0),
        of(1),
        rate(&|encode| encode.vmaf),
        rate(&|encode| encode.db.0),
        cpu(with) / cpu(without),
    )
}

async fn one(
    args: &CompareArgs,
    launch: &Launch,
    folder: &Path,
    (path, clip, sights): (&Path, &Clip, &Sights),
    config: Config,
) -> Result<Encode, String> {
    let file = folder.join("rung.flv");
    let (bytes, pictures, cpu) = encode(launch, clip, config, &file).await?;
    let (vmaf, _) = judge(args, &file, path, clip, &folder.join("vmaf.json"))?;
    let db = sights.signal(args, path, &file, clip)?;
    Ok(Encode {
        bps: bytes as f64 * 8.0 / clip.seconds,
        cpu_ms_per_picture: cpu.as_secs_f64() * 1e3 / pictures.max(1) as f64,
        vmaf,
        db,
    })
}

/// Pictures of a file one after the other, as I420 of the size of the clip.
struct Pictures {
    child: Child,
    out: ChildStdout,
    samples: Vec<u8>,
}

impl Pictures {
    fn of(args: &CompareArgs, file: &Path, clip: &Clip) -> Result<Self, String> {
        let (width, height) = (clip.width, clip.height);
        let mut child = Command::new(&args.ffmpeg)
            .args(["-v", "fatal", "-nostdin", "-i"])
            .arg(file)
            .args(["-an", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p"])
            .args(["-vf", &format!("scale={width}:{height}:flags=bicubic")])
            .args(["-f", "rawvideo", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", args.ffmpeg.display()))?;
        let out = child.stdout.take().ok_or("ffmpeg has no output")?;
        let luma = width as usize * height as usize;
        Ok(Self { child, out, samples: vec![0; luma * 3 / 2] })
    }

    fn next(&mut self) -> Option<&[u8]> {
        self.out.read_exact(&mut self.samples).ok().map(|()| &self.samples[..])
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        // It may have more to say than was read.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sights {
    fn of(args: &CompareArgs, path: &Path, clip: &Clip) -> Result<Self, String> {
        let (width, height) = (clip.width as usize, clip.height as usize);
        let mut pictures = Pictures::of(args, path, clip)?;
        let (mut faces, mut text) = (face::Detector::new(), text::Detector::default());
        let (mut areas, mut lines) = (Vec::new(), Vec::new());
        while let Some(samples) = pictures.next() {
            let (luma, chroma) = samples.split_at(width * height);
            let (blue, red) = chroma.split_at(chroma.len() / 2);
            let picture =
                vision::Picture::new([luma, blue, red], [width, width / 2, width / 2], (width, height));
            let picture = picture.ok_or("there is no picture in the clip")?;
            if areas.len().is_multiple_of(TEXT_EVERY) {
                lines = text.areas(picture.luma());
            }
            let faces = faces.faces(&picture, face::SCORE_SURE).into_iter().map(|face| face.area).collect();
            areas.push([faces, lines.clone()]);
        }
        let all = areas.len().max(1) as f64 * (width * height) as f64;
        let pixels = |kind: usize| -> f64 {
            areas.iter().flat_map(|areas| &areas[kind]).map(|area| f64::from(area.pixels())).sum()
        };
        let parts = [pixels(0).abs() / all, pixels(1).abs() / all];
        Ok(Self { areas, parts })
    }

    /// Signal to noise of luma against the clip in dB, as in [`Encode::db`].
    fn signal(
        &self,
        args: &CompareArgs,
        path: &Path,
        file: &Path,
        clip: &Clip,
    ) -> Result<(f64, [Option<f64>; 2]), String> {
        let (mut reference, mut made) = (Pictures::of(args, path, clip)?, Pictures::of(args, file, clip)?);
        let mut all = Noise::default();
        let mut sights = [Noise::default(), Noise::default()];
        let (width, height) = (clip.width as usize, clip.height as usize);
        for areas in &self.areas {
            let (Some(reference), Some(made)) = (reference.next(), made.next()) else {
                return Err("the rung has fewer pictures than the clip".to_owned());
            };
            for y in 0..height {
                let row = y * width..(y + 1) * width;
                let (reference, made) = (&reference[row.clone()], &made[row]);
                all.add(reference, made);
                for (noise, areas) in sights.iter_mut().zip(areas) {
                    for area in areas {
                        let within = |at: f32| (at.max(0.0) as usize).min(width);
                        if (area.y..area.y + area.height).contains(&(y as f32)) {
                            let columns = within(area.x)..within(area.x + area.width);
                            noise.add(&reference[columns.clone()], &made[columns]);
                        }
                    }
                }
            }
        }
        Ok((all.db(), sights.map(|noise| (noise.samples > 0).then(|| noise.db()))))
    }
}

#[derive(Default)]
struct Noise {
    squares: u64,
    samples: u64,
}

impl Noise {
    fn add(&mut self, reference: &[u8], made: &[u8]) {
        let squares = reference.iter().zip(made).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
        self.squares += squares.sum::<u64>();
        self.samples += reference.len() as u64;
    }

    fn db(&self) -> f64 {
        let mean = self.squares.max(1) as f64 / self.samples.max(1) as f64;
        10.0 * (255.0 * 255.0 / mean).log10()
    }
}
