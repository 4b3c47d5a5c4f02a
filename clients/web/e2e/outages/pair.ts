// Two people in a call who hear each other: Ada in Chromium, Bo in Firefox.

import type { Browser } from "puppeteer-core";
import { Participant } from "../participant.ts";

/** Joins both by the page. `browsers` are a Chromium and a Firefox, in this order. */
export async function joinPair(browsers: readonly Browser[], link: string): Promise<[Participant, Participant]> {
  const [chromium, firefox] = browsers;
  if (chromium === undefined || firefox === undefined) throw new Error("browsers have not started");
  const ada = await Participant.joinByPage(chromium, link, "Ada");
  const bo = await Participant.joinByPage(firefox, link, "Bo");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  return [ada, bo];
}
