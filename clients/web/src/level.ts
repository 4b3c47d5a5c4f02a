// Loudness of a local microphone, for a meter and for one's own speaking ring.

/** A running meter. */
export interface LevelMeter {
  /** Present loudness, linear from 0 to 1 (root mean square). */
  level(): number;
  stop(): void;
}

/** Measures a track. The page must have been touched by the user, or browsers keep the meter at 0. */
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
      // Closing a context that is closing by itself changes nothing.
      context.close().catch(() => {});
    },
  };
}
