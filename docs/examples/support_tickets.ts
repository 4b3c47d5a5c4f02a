/*
 * A help desk in TypeScript: a room for each support ticket, a token for each person who joins it, and webhooks that say who is in it.
 *
 *     TACET_SERVER=https://call.example.org TACET_API_KEY=… WEBHOOK_PUBLIC_KEY=whpk_… PORT=8000 node support_tickets.js
 *
 * The same as support_tickets.py beside it, with Node.js alone. It verifies webhooks by the server's public key, which `GET /v1/webhooks`
 * shows, so that it holds no secret of theirs.
 */
import { createHash, createPublicKey, hkdfSync, randomBytes, randomUUID, verify } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";

interface Ticket { room: string; link: string; joined: number[]; left: number[]; calls: number }
interface Event { type: string; data: { room: string; participant?: number } }

const { TACET_SERVER: server = "", TACET_API_KEY: key = "", WEBHOOK_PUBLIC_KEY: whpk = "", PORT: port } = process.env;
const raw = Buffer.from(whpk.replace("whpk_", ""), "base64").toString("base64url");
const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw }, format: "jwk" });
const tickets = new Map<string, Ticket>(); // a real one has a database
const seen = new Set<string>();

async function ask<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  const authorized = { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers };
  const answer = await fetch(server + path, { method: "POST", headers: authorized, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** SHA-256 of the access token: all that the call server learns of a link's secret (docs/protocol.md). */
function accessHash(secret: Buffer): string {
  const token = hkdfSync("sha512", secret, "e2ee-frames/1 invite", "access", 32);
  return createHash("sha256").update(Buffer.from(token)).digest("base64url");
}

async function makeRoom(id: string): Promise<Ticket> {
  const secret = randomBytes(32); // drawn here, and not sent
  const repeatable = { "idempotency-key": randomUUID() };
  const { room } = await ask<{ room: string }>("/v1/rooms", { access_hash: accessHash(secret) }, repeatable);
  const ticket = { room, link: `${server}/r/${room}#${secret.toString("base64url")}`, joined: [], left: [], calls: 0 };
  tickets.set(id, ticket);
  return ticket;
}

/** Checks a webhook's signature and time, and applies what it says once. Returns the status. */
function receive(headers: IncomingMessage["headers"], body: Buffer): number {
  const [id, time] = [String(headers["webhook-id"]), String(headers["webhook-timestamp"])];
  const content = Buffer.concat([Buffer.from(`${id}.${time}.`), body]);
  const signatures = String(headers["webhook-signature"]).split(" ").filter((one) => one.startsWith("v1a,"));
  const genuine = signatures.some((one) => verify(null, content, publicKey, Buffer.from(one.slice(4), "base64")));
  if (!genuine || !(Math.abs(Date.now() / 1000 - Number(time)) < 300)) return 401;
  if (seen.has(id)) return 204;
  seen.add(id);
  const { type, data } = JSON.parse(body.toString()) as Event;
  for (const ticket of [...tickets.values()].filter((one) => one.room === data.room)) {
    // In any order.
    if (type === "participant.joined" && data.participant) ticket.joined.push(data.participant);
    if (type === "participant.left" && data.participant) ticket.left.push(data.participant);
    if (type === "room.ended") ticket.calls += 1;
  }
  return 204;
}

async function answer(request: IncomingMessage): Promise<[number, unknown?]> {
  const body = Buffer.concat(await request.toArray());
  const [, place = "", id = "", , role = ""] = (request.url ?? "").split("/");
  const ticket = tickets.get(id);
  const present = ticket?.joined.filter((one) => !ticket.left.includes(one));
  if (request.method === "GET") return ticket ? [200, { ...ticket, present }] : [404];
  if (place === "hook") return [receive(request.headers, body)];
  if (!role) return [201, ticket ?? (await makeRoom(id))];
  return ticket ? [201, await ask(`/v1/rooms/${ticket.room}/tokens`, { role, lifetime: 3600 })] : [404];
}

createServer(async (request, response) => {
  const [status, body] = await answer(request).catch((error: unknown): [number, unknown] => [502, String(error)]);
  response.writeHead(status).end(body === undefined ? "" : JSON.stringify(body));
}).listen(Number(port), "127.0.0.1");
