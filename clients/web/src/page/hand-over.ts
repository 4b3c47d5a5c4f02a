// Moves a call from one tab of a browser to another. The new tab asks for the place in the call, and the old one answers
// with it over a channel that only pages of this origin can open.

import type { Place } from "./place.ts";

/** How long a tab may take to answer. A frozen one does not. */
const ANSWER_MS = 2_000;

type Message = { readonly t: "ask" } | { readonly t: "place"; readonly place: Place };

/** Answers other tabs with the place that `give` returns. Returns a function that ends this. */
export function offerPlace(room: string, give: () => Place): () => void {
  const channel = open(room);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.t !== "ask") return;
    const place = give();
    // Giving the place away ends the call and with it this offer, so the answer has its own channel.
    const answer = open(room);
    answer.postMessage({ t: "place", place } satisfies Message);
    answer.close();
  };
  return () => channel.close();
}

/** Asks the tab that is in this room for its place. Resolves with `null` if it does not answer. */
export async function askForPlace(room: string): Promise<Place | null> {
  const channel = open(room);
  try {
    return await new Promise((resolve) => {
      channel.onmessage = ({ data }: MessageEvent<Message>) => {
        if (data.t === "place") resolve(data.place);
      };
      setTimeout(() => resolve(null), ANSWER_MS);
      channel.postMessage({ t: "ask" } satisfies Message);
    });
  } finally {
    channel.close();
  }
}

function open(room: string): BroadcastChannel {
  return new BroadcastChannel(`tacet room ${room}`);
}
