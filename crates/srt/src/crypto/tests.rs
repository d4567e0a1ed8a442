use proptest::prelude::*;

use super::*;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn pair(length: KeyLength, refresh: Refresh) -> (Crypto, Crypto, Secrets) {
    let mut secrets = Secrets::new([7; 32]);
    let caller = Crypto::initiate(passphrase("correct horse"), length, &mut secrets, refresh);
    let listener = Crypto::respond(passphrase("correct horse"), &caller.request(), refresh).unwrap();
    (caller, listener, secrets)
}

pub(crate) fn seed() -> Bytes {
    pair(KeyLength::Bits128, Refresh::default()).0.request()
}

#[test]
fn counters_are_those_of_the_draft() {
    // Plain AES of the first counter: salt with the number in bytes 10 to 13, block 0.
    let key = StreamKey::new([0x11; 16], KeyLength::Bits128, &[0x22; 16]);
    let mut payload = [0; 20];
    key.apply(Sequence::new(0x0102_0304), &mut payload);
    let mut counter = [0x11; 16];
    counter[10..].copy_from_slice(&[0x10, 0x13, 0x12, 0x15, 0, 0]);
    let mut expected = [0; 20];
    Ctr128BE::<Aes128>::new_from_slices(&[0x22; 16], &counter).unwrap().apply_keystream(&mut expected);
    assert_eq!(payload, expected);
}

#[test]
fn both_ends_read_each_other_with_each_length_of_key() {
    for length in [KeyLength::Bits128, KeyLength::Bits192, KeyLength::Bits256] {
        let (mut caller, mut listener, _) = pair(length, Refresh::default());
        assert_eq!(listener.key_length(), length);
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut caller, &mut listener];
            let mut payload = *b"a piece of a stream";
            let parity = ends[from].seal(Sequence::new(5), &mut payload);
            assert_ne!(&payload, b"a piece of a stream");
            assert!(ends[to].open(parity, Sequence::new(5), &mut payload));
            assert_eq!(&payload, b"a piece of a stream");
        }
    }
}

#[test]
fn another_passphrase_or_cipher_is_refused_by_its_own_name() {
    let request = seed();
    let respond = |passphrase_text: &str, request: &Bytes| {
        Crypto::respond(passphrase(passphrase_text), request, Refresh::default()).map(drop)
    };
    assert_eq!(respond("wrong horse", &request), Err(KeyRefusal::BadSecret));
    let mut gcm = request.to_vec();
    (gcm[8], gcm[9]) = (4, 1);
    assert_eq!(respond("correct horse", &gcm.into()), Err(KeyRefusal::BadCipher));
    assert!(Passphrase::new("too short").is_err());
    assert!(Passphrase::new("x".repeat(80)).is_err());
}

#[test]
fn keys_change_after_their_packets_and_only_when_the_peer_has_the_next() {
    let refresh = Refresh { packets: 10, announced_before: 4 };
    let (mut caller, mut listener, mut secrets) = pair(KeyLength::Bits256, refresh);
    let mut sequence = 0;
    let mut send = |caller: &mut Crypto, listener: &Crypto| {
        sequence += 1;
        let mut payload = *b"payload";
        let parity = caller.seal(Sequence::new(sequence), &mut payload);
        assert!(listener.open(parity, Sequence::new(sequence), &mut payload));
        assert_eq!(&payload, b"payload");
        parity
    };
    for _ in 0..5 {
        assert_eq!(send(&mut caller, &listener), Parity::Even);
    }
    assert_eq!(caller.announcement(&mut secrets), None);
    // The answer does not come: the old key goes on.
    for _ in 0..20 {
        assert_eq!(send(&mut caller, &listener), Parity::Even);
        assert!(caller.announcement(&mut secrets).is_some());
    }
    let announcement = caller.announcement(&mut secrets).unwrap();
    caller.take_answer(&KeyRefusal::BadSecret.write());
    assert_eq!(caller.announcement(&mut secrets), Some(announcement.clone()));
    let material = KeyMaterial::read(&announcement).unwrap();
    assert!(!listener.derives(&material));
    listener.take_announcement(&material).unwrap();
    caller.take_answer(&announcement);
    assert_eq!(caller.announcement(&mut secrets), None);
    for _ in 0..5 {
        assert_eq!(send(&mut caller, &listener), Parity::Odd);
    }
}

#[test]
fn a_message_of_keys_has_exactly_its_length() {
    let request = seed();
    assert_eq!(request.len(), 16 + 16 + 16 + 8);
    assert_eq!(KeyMaterial::read(&request).unwrap().write(), request);
    for length in 0..request.len() {
        assert!(KeyMaterial::read(&request.slice(..length)).is_err());
    }
    let longer: Bytes = [&request[..], &[0; 8]].concat().into();
    assert!(KeyMaterial::read(&longer).is_err());
    // A message that says that it is longer than any is (the class of CVE-2026-55869).
    let longest: Bytes = [&request[..], &[0; 1352]].concat().into();
    assert!(KeyMaterial::read(&longest).is_err());
}

proptest! {
    #[test]
    fn any_message_of_keys_is_read_or_refused(at in 0_usize..32, byte: u8, tail in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = seed()[..32].to_vec();
        bytes[at] = byte;
        bytes.extend(tail);
        let bytes = Bytes::from(bytes);
        if let Ok(material) = KeyMaterial::read(&bytes) {
            prop_assert_eq!(KeyMaterial::read(&material.write()), Ok(material));
        }
    }
}
