// Measures the level of a local audio track, for the meter and for the speaking ring of the user's own tile.

/** A running meter. */
export interface LevelMeter {
  /** Current level: root mean square, linear from 0 to 1. */
  level(): number;
  stop(): void;
}

/** Starts to measure a track. Before the first user gesture on the page, browsers keep the level at 0. */
export function meter(track: MediaStreamTrack): LevelMeter {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1_024;
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      return Math.min(1, Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
    },
    stop() {
      source.disconnect();
      // Rejects if the context is already closing, which is fine.
      context.close().catch(() => {});
    },
  };
}
