//! Converts samples between the device's format and `f32`, on the device thread.

use cpal::{Data, FromSample, I24, Sample, SampleFormat, SizedSample, U24};

/// Whether samples of this format can be converted.
pub(super) const fn is_known(format: SampleFormat) -> bool {
    !matches!(format, SampleFormat::DsdU8 | SampleFormat::DsdU16 | SampleFormat::DsdU32)
}

/// Calls `take` with each sample of a buffer.
pub(super) fn read(data: &Data, take: impl FnMut(f32)) {
    match data.sample_format() {
        SampleFormat::I8 => read_as::<i8>(data, take),
        SampleFormat::I16 => read_as::<i16>(data, take),
        SampleFormat::I24 => read_as::<I24>(data, take),
        SampleFormat::I32 => read_as::<i32>(data, take),
        SampleFormat::I64 => read_as::<i64>(data, take),
        SampleFormat::U8 => read_as::<u8>(data, take),
        SampleFormat::U16 => read_as::<u16>(data, take),
        SampleFormat::U24 => read_as::<U24>(data, take),
        SampleFormat::U32 => read_as::<u32>(data, take),
        SampleFormat::U64 => read_as::<u64>(data, take),
        SampleFormat::F32 => read_as::<f32>(data, take),
        SampleFormat::F64 => read_as::<f64>(data, take),
        _ => {}
    }
}

/// Fills a buffer with the samples that `next` returns.
pub(super) fn write(data: &mut Data, next: impl FnMut() -> f32) {
    match data.sample_format() {
        SampleFormat::I8 => write_as::<i8>(data, next),
        SampleFormat::I16 => write_as::<i16>(data, next),
        SampleFormat::I24 => write_as::<I24>(data, next),
        SampleFormat::I32 => write_as::<i32>(data, next),
        SampleFormat::I64 => write_as::<i64>(data, next),
        SampleFormat::U8 => write_as::<u8>(data, next),
        SampleFormat::U16 => write_as::<u16>(data, next),
        SampleFormat::U24 => write_as::<U24>(data, next),
        SampleFormat::U32 => write_as::<u32>(data, next),
        SampleFormat::U64 => write_as::<u64>(data, next),
        SampleFormat::F32 => write_as::<f32>(data, next),
        SampleFormat::F64 => write_as::<f64>(data, next),
        _ => {}
    }
}

fn read_as<T: SizedSample>(data: &Data, take: impl FnMut(f32))
where
    f32: FromSample<T>,
{
    data.as_slice::<T>().unwrap_or_default().iter().map(|sample| f32::from_sample(*sample)).for_each(take);
}

fn write_as<T: SizedSample + FromSample<f32>>(data: &mut Data, mut next: impl FnMut() -> f32) {
    for sample in data.as_slice_mut::<T>().unwrap_or_default() {
        *sample = T::from_sample(next());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes samples into a device buffer of one format and reads them back.
    fn through<T: SizedSample>(samples: &[f32]) -> Vec<f32> {
        let mut buffer = vec![T::EQUILIBRIUM; samples.len()];
        // SAFETY: the pointer is valid for this many samples of this type, and outlives `data`.
        #[allow(unsafe_code)]
        let mut data = unsafe { Data::from_parts(buffer.as_mut_ptr().cast(), buffer.len(), T::FORMAT) };
        let mut next = samples.iter().copied();
        write(&mut data, || next.next().unwrap_or(9.0));
        let mut back = Vec::new();
        read(&data, |sample| back.push(sample));
        back
    }

    #[test]
    fn every_format_round_trips() {
        let samples = [0.0, 0.5, -0.5, 0.25, -1.0];
        let kinds: [(SampleFormat, Vec<f32>); 12] = [
            (SampleFormat::I8, through::<i8>(&samples)),
            (SampleFormat::I16, through::<i16>(&samples)),
            (SampleFormat::I24, through::<I24>(&samples)),
            (SampleFormat::I32, through::<i32>(&samples)),
            (SampleFormat::I64, through::<i64>(&samples)),
            (SampleFormat::U8, through::<u8>(&samples)),
            (SampleFormat::U16, through::<u16>(&samples)),
            (SampleFormat::U24, through::<U24>(&samples)),
            (SampleFormat::U32, through::<u32>(&samples)),
            (SampleFormat::U64, through::<u64>(&samples)),
            (SampleFormat::F32, through::<f32>(&samples)),
            (SampleFormat::F64, through::<f64>(&samples)),
        ];
        for (format, back) in kinds {
            assert!(is_known(format));
            assert!(samples.iter().zip(&back).all(|(a, b)| (a - b).abs() < 0.02), "{format}: {back:?}");
        }
        assert!(!is_known(SampleFormat::DsdU8));
    }
}
