//! Signatures in C2 and S2: the end of a block that says whose digest it answers.

use blowfish::BlowfishLE;
use blowfish::cipher::{BlockCipherEncrypt, KeyInit};

use super::digest::{self, Side, hmac};

/// What a server does to signatures, chosen by the version in S0. The client does the same to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Versions 3 and 6: nothing.
    Bare,
    /// Version 8: XTEA.
    Xtea,
    /// Version 9: Blowfish.
    Blowfish,
}

impl Scheme {
    pub(super) fn of_version(version: u8) -> Self {
        match version {
            8 => Self::Xtea,
            9 => Self::Blowfish,
            _ => Self::Bare,
        }
    }

    /// Encrypts a bare signature in four blocks. The key of each block is selected by the byte at its place in `key`, the
    /// one that the signature was made with.
    fn apply(self, signature: &mut [u8; digest::BYTES], key: &[u8; digest::BYTES]) {
        let (blocks, _) = signature.as_chunks_mut::<8>();
        for (block, number) in blocks.iter_mut().zip(key.iter().step_by(8)) {
            self.encrypt(block, *number);
        }
    }

    /// Encrypts eight bytes, which both ciphers take as two little-endian words. `number` selects the key.
    fn encrypt(self, block: &mut [u8; 8], number: u8) {
        // Sixteen keys are known, but the last one is never selected.
        let number = usize::from(number % 15);
        match self {
            Self::Bare => {}
            Self::Xtea => xtea(block, XTEA_KEYS[number]),
            Self::Blowfish => {
                let mut key = [0; 24];
                for (bytes, word) in key.chunks_exact_mut(8).zip(BLOWFISH_KEYS[number]) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
                let cipher = BlowfishLE::new_from_slice(&key).expect("Blowfish takes keys of 4 to 56 bytes");
                cipher.encrypt_block(block.into());
            }
        }
    }
}

/// The end of a C2 or S2 that answers a block with `peer_digest`; `random` is all that stands before it.
pub(super) fn sign(
    random: &[u8],
    peer_digest: &[u8; digest::BYTES],
    side: Side,
    scheme: Scheme,
) -> [u8; digest::BYTES] {
    let key = hmac(&side.genuine_key(), &[peer_digest]);
    let mut signature = hmac(&key, &[random]);
    scheme.apply(&mut signature, &key);
    signature
}

/// XTEA with 32 rounds (R. Needham and D. Wheeler, "Tea extensions", 1997).
fn xtea(block: &mut [u8; 8], key: [u32; 4]) {
    const DELTA: u32 = 0x9e37_79b9;
    let mix = |word: u32| (word << 4 ^ word >> 5).wrapping_add(word);
    let both = u64::from_le_bytes(*block);
    let (mut low, mut high) = (both as u32, (both >> 32) as u32);
    let mut sum = 0_u32;
    for _ in 0..32 {
        low = low.wrapping_add(mix(high) ^ sum.wrapping_add(key[(sum & 3) as usize]));
        sum = sum.wrapping_add(DELTA);
        high = high.wrapping_add(mix(low) ^ sum.wrapping_add(key[(sum >> 11 & 3) as usize]));
    }
    *block = (u64::from(high) << 32 | u64::from(low)).to_le_bytes();
}

const XTEA_KEYS: [[u32; 4]; 15] = [
    [0xbff0_34b2, 0x11d9_081f, 0xccdf_b795, 0x748d_e732],
    [0x086a_5eb6, 0x1743_090e, 0x6ef0_5ab8, 0xfe5a_39e2],
    [0x7b10_956f, 0x76ce_0521, 0x2388_a73a, 0x4401_49a1],
    [0xa943_f317, 0xebf1_1bb2, 0xa691_a5ee, 0x17f3_6339],
    [0x7a30_e00a, 0xb529_e22c, 0xa087_aea5, 0xc0cb_79ac],
    [0xbdce_0c23, 0x2feb_deff, 0x1cfa_ae16, 0x1123_239d],
    [0x55dd_3f7b, 0x77e7_e62e, 0x9bb8_c499, 0xc948_1ee4],
    [0x407b_b6b4, 0x71e8_9136, 0xa7ae_bf55, 0xca33_b839],
    [0xfcf6_bdc3, 0xb63c_3697, 0x7ce4_f825, 0x04d9_59b2],
    [0x28e0_91fd, 0x4195_4c4c, 0x7fb7_db00, 0xe3a0_66f8],
    [0x5784_5b76, 0x4f25_1b03, 0x46d4_5bcd, 0xa2c3_0d29],
    [0x0acc_eef8, 0xda55_b546, 0x0347_3452, 0x5863_713b],
    [0xb820_75dc, 0xa75f_1fee, 0xd842_68e8, 0xa72a_44cc],
    [0x07cf_6e9e, 0xa16d_7b25, 0x9fa7_ae6c, 0xd92f_5629],
    [0xfeb1_eae4, 0x8c8c_3ce1, 0x4e00_64a7, 0x6a38_7c2a],
];

/// 24 bytes each, as three big-endian words.
const BLOWFISH_KEYS: [[u64; 3]; 15] = [
    [0x7934_774c_67d1_383a, 0xdfb3_56be_8b7b_d024, 0x38e0_7358_415d_6967],
    [0x46f6_b4cc_0193_e3a1, 0x9e7d_3c65_5586_fd09, 0x8ff7_b3c4_6f41_ca5c],
    [0x1ae7_e2f3_f914_7994, 0xc0d3_9743_087b_b384, 0x432f_9d84_3f21_019b],
    [0xd3e3_54b0_f71d_f62b, 0x5a43_4d04_8364_3e0d, 0x592f_61cb_b16a_590d],
    [0xc8c1_e9b8_1656_9921, 0x7b5b_36b7_b59b_df06, 0x492c_97f5_9548_857e],
    [0xebe5_e62e_a4ba_d42c, 0xf216_e08f_6623_a943, 0x41ce_3814_8495_0053],
    [0x66db_90f0_3b4f_f56f, 0xe49c_2089_355e_d2b2, 0xc39e_9f7f_63b2_2881],
    [0xbb20_aced_2a04_6a19, 0x9498_9bc8_ffcd_93ef, 0xc60d_56a7_eb13_d930],
    [0xbcf2_4382_0940_8a87, 0x2543_6de6_bba4_b944, 0x583f_217c_99bb_3f24],
    [0xec1a_aacd_cebd_5311, 0xd2fb_83b6_c3ba_ab4f, 0x6279_e865_a992_2876],
    [0xc60c_3003_9118_2d7b, 0x79da_e1d5_6477_9a12, 0xc5b1_d791_4f96_4ca3],
    [0xd77c_2abf_a6e7_857c, 0x45ad_ff12_94d8_dea4, 0x5c3d_79a4_4402_5d22],
    [0x1619_0d81_6a4c_c7f8, 0xb8f9_4ecd_2c9e_9084, 0xb208_2560_e11e_ae18],
    [0xe97c_5826_1b51_9e49, 0x8260_61fc_a0a0_1bcd, 0xf505_d6a6_6d07_88a3],
    [0x2b97_118b_d94e_d9df, 0x20e3_9c10_e6a1_3521, 0x11f9_130d_0b24_65b2],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
    }

    #[test]
    fn signatures_are_those_of_rtmpdump() {
        // Key, bare signature, and what rtmpdump 2.4 sends in C2 to servers that answer 8 and 9.
        for (scheme, key, bare, sent) in [
            (
                Scheme::Xtea,
                "1101e6e16092b8520765fa0626a4cdd636aaf713cdb98571bad812aa7d32d069",
                "2444c8a3c73c171245d3dab3067832abc03367128d1a0129e2fc14aeb4d32494",
                "33364355a99b1297e6dbf8941563d583b9ade6ee96465afb6a83f829ce828c1f",
            ),
            (
                Scheme::Blowfish,
                "7fc89561fea75cd45e875f946dec1e9365ec8cb02b2ff2ead860eb94ca766c52",
                "df36a8cb96ee7033bbe3e88689a868403fccf8d648f0dfac56d599594f886ef0",
                "eea0a50c12b2e40461d2f8939d516b6d13b7a76e6136962f7a6803dc46b2c6a0",
            ),
        ] {
            let mut signature = bytes(bare);
            scheme.apply(&mut signature, &bytes(key));
            assert_eq!(signature, bytes(sent), "{scheme:?}");
        }
    }

    #[test]
    fn xtea_is_that_of_its_published_vector() {
        // Key 00010203 …, text "ABCDEFGH" as two big-endian words.
        let mut block = *b"DCBAHGFE";
        xtea(&mut block, [0x0001_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f]);
        assert_eq!(block, [0xd0, 0xf3, 0x7d, 0x49, 0xb5, 0x2c, 0x61, 0x72]);
    }
}
