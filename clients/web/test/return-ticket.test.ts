import { expect, it } from "vitest";
import { parseTicket, type ReturnTicket } from "../src/return-ticket.ts";

it("a ticket survives JSON, and anything else is none", () => {
  const ticket: ReturnTicket = { room: "r", token: "t", participant: 7, muted: { microphone: true, camera: false } };
  expect(parseTicket(JSON.stringify(ticket))).toEqual(ticket);
  for (const text of [null, "", "{", "null", "7", "{}", '{"room":"r","token":"t","participant":"7","muted":{}}']) {
    expect(parseTicket(text), String(text)).toBeNull();
  }
});
