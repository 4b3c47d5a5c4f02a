// What a participant's page gets over time: printed beside the figures of a bad path if TRACE is set.

import type { Participant } from "../participant.ts";

declare global {
  interface Window {
    testTrace?: string[];
  }
}

const TRACE = process.env.TRACE !== undefined;
/** Whose pages are followed. */
const traced: Participant[] = [];

/** Writes down, twice a second from now on, what arrives at a page and what the server knows of its path. */
export async function trace(participant: Participant): Promise<void> {
  if (!TRACE) return;
  traced.push(participant);
  const { page } = participant;
  await page.evaluate(() => {
    const call = window.testCall;
    if (call === undefined) return;
    const lines: string[] = [];
    window.testTrace = lines;
    const start = performance.now();
    let path = "";
    let before = { bytes: 0, frames: 0, at: start };
    call.diagnoses = true;
    const now = (): string => ((performance.now() - start) / 1_000).toFixed(1).padStart(6);
    call.on("downlink", (d) => {
      path = `${d.kbps}/${d.wanted_kbps} kbps q${d.queue_ms} ${d.cause}`;
    });
    call.on("layer", ({ source, layer }) => lines.push(`${now()}      layer ${source} ${JSON.stringify(layer)}`));
    setInterval(async () => {
      const stats = [...(await call.stats()).values()];
      const video = stats.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video");
      const sum = (key: string): number => video.reduce((all, one) => all + ((one[key] as number) ?? 0), 0);
      const out = stats
        .filter(({ type, kind }) => type === "outbound-rtp" && kind === "video")
        .map(
          (o) =>
            `${o.rid}:${o.frameHeight ?? 0}@${o.framesPerSecond ?? 0} ${Math.round((o.targetBitrate ?? 0) / 1000)}k enc${(((o.totalEncodeTime ?? 0) * 1000) / Math.max(1, o.framesEncoded ?? 0)).toFixed(0)}ms kf${o.keyFramesEncoded ?? 0} ${Math.round((o.bytesSent ?? 0) / 1000)}kB`,
        )
        .join(" ");
      const at = performance.now();
      const [bytes, frames] = [sum("bytesReceived"), sum("framesDecoded")];
      const kbps = Math.round(((bytes - before.bytes) * 8) / (at - before.at));
      const height = [...document.querySelectorAll<HTMLVideoElement>("[data-kind=other] video")].map(
        (v) => v.videoHeight,
      );
      const audio = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
      if (video.length > 0)
        lines.push(
          `${now()} ${String(kbps).padStart(5)} kbps ${frames - before.frames} fr lost ${sum("packetsLost")} nack ${sum("nackCount")} pli ${sum("pliCount")} kf ${sum("keyFramesDecoded")} drop ${sum("framesDropped")} freeze ${sum("freezeCount")}/${sum("totalFreezesDuration").toFixed(1)} rtx ${sum("retransmittedPacketsReceived")} dec ${((sum("totalDecodeTime") * 1000) / Math.max(1, frames)).toFixed(0)}ms h ${height.slice(0, 11)} conc ${audio?.concealedSamples ?? 0} | ${path}`,
        );
      if (out !== "" && Math.round(at / 500) % 4 === 0) lines.push(`${now()}      out ${out}`);
      before = { bytes, frames, at };
    }, 500);
  });
}

/** Marks a moment. */
export async function mark({ page }: Participant, text: string): Promise<void> {
  if (TRACE) await page.evaluate((line) => window.testTrace?.push(`======= ${line}`), text);
}

/** Prints what was written down, and forgets it. */
export async function printTraces(): Promise<void> {
  for (const { name, page } of traced.splice(0)) {
    const lines = await page.evaluate(() => window.testTrace ?? []);
    process.stdout.write(`${name}\n${lines.join("\n")}\n`);
  }
}
