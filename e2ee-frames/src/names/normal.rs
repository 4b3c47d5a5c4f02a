//! Normal forms C and D (Unicode Standard Annex 15).

use super::tables;
use alloc::vec::Vec;

const S_BASE: u32 = 0xac00;
const L_BASE: u32 = 0x1100;
const V_BASE: u32 = 0x1161;
const T_BASE: u32 = 0x11a7;
const L_COUNT: u32 = 19;
const V_COUNT: u32 = 21;
const T_COUNT: u32 = 28;
const S_COUNT: u32 = L_COUNT * V_COUNT * T_COUNT;

/// Canonical decomposition, in canonical order.
pub(super) fn decompose(text: impl IntoIterator<Item = char>) -> Vec<char> {
    let mut out = Vec::new();
    text.into_iter().for_each(|c| push(c, &mut out));
    out
}

fn push(c: char, out: &mut Vec<char>) {
    if let Some(syllable) = u32::from(c).checked_sub(S_BASE).filter(|syllable| *syllable < S_COUNT) {
        let (lv, t) = (syllable / T_COUNT, syllable % T_COUNT);
        let parts =
            [L_BASE.saturating_add(lv / V_COUNT), V_BASE.saturating_add(lv % V_COUNT), T_BASE.saturating_add(t)];
        let count = if t == 0 { 2 } else { 3 };
        out.extend(parts.into_iter().take(count).filter_map(char::from_u32));
        return;
    }
    match tables::decomposition(c) {
        Some(one) => {
            push(one.first, out);
            one.second.into_iter().for_each(|second| push(second, out));
        }
        None => {
            let class = tables::class(c);
            // A mark goes behind those of its class and below.
            let later = out.iter().rev().take_while(|before| class != 0 && tables::class(**before) > class).count();
            out.insert(out.len().saturating_sub(later), c);
        }
    }
}

/// Canonical composition of decomposed text.
pub(super) fn compose(text: Vec<char>) -> Vec<char> {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut starter = None;
    let mut last_class = 0;
    for c in text {
        let class = tables::class(c);
        if let Some(at) = starter {
            let adjacent = out.len() == usize::saturating_add(at, 1);
            if (adjacent || last_class < class)
                && let Some(first) = out.get_mut(at)
                && let Some(whole) = pair(*first, c)
            {
                *first = whole;
                continue;
            }
        }
        if class == 0 {
            starter = Some(out.len());
        }
        last_class = class;
        out.push(c);
    }
    out
}

/// The character that two compose to.
fn pair(first: char, second: char) -> Option<char> {
    let (a, b) = (u32::from(first), u32::from(second));
    if let (Some(l), Some(v)) = (below(a, L_BASE, L_COUNT), below(b, V_BASE, V_COUNT)) {
        return char::from_u32((l * V_COUNT + v) * T_COUNT + S_BASE);
    }
    if let (Some(lv), Some(t)) = (below(a, S_BASE, S_COUNT), below(b, T_BASE, T_COUNT))
        && lv % T_COUNT == 0
        && t != 0
    {
        return char::from_u32(a.saturating_add(t));
    }
    // Every other second part is a mark, or a vowel of Kirat Rai.
    if !tables::is_mark(second) && !('\u{16d63}'..='\u{16d6a}').contains(&second) {
        return None;
    }
    tables::decompositions()
        .find(|one| one.composes && one.first == first && one.second == Some(second))
        .map(|one| one.whole)
}

/// The distance from a base, if below a count.
fn below(number: u32, base: u32, count: u32) -> Option<u32> {
    number.checked_sub(base).filter(|distance| *distance < count)
}
