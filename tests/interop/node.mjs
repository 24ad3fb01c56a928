// Node's server and clients: `node node.mjs server PORT`, or `node node.mjs http|fetch BASE`, cases as JSON on
// standard input and their outcomes as JSON on standard output.
import { createHash } from "node:crypto";
import http from "node:http";

const LARGE = Buffer.from("0123456789abcdef".repeat(262144));
const PIECES = [0, 1, 2, 3].map((number) => `piece ${number} `.repeat(10000));
const TEXT = { "Content-Type": "text/plain; charset=utf-8" };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const left = new Set();

async function answer(request, response) {
  const { pathname, search } = new URL(request.url, "http://x");
  const plain = (status, headers, body) =>
    response.writeHead(status, { ...TEXT, "Content-Length": Buffer.byteLength(body), ...headers }).end(body);
  switch (pathname) {
    case "/hello": return plain(200, { "X-App": "1", "Set-Cookie": ["a=1", "b=2; Path=/"] }, "hello");
    case "/empty": return response.writeHead(204, { "X-App": "1" }).end();
    case "/same": return response.writeHead(304, { ETag: '"x"' }).end();
    case "/moved": return plain(302, { Location: "/hello" }, "moved");
    case "/broken": return plain(503, {}, "broken");
    case "/large": return plain(200, {}, LARGE);
    case "/refuse": return plain(413, { Connection: "close" }, "too much");
    case "/left": return plain(200, {}, left.has(search) ? "1" : "0");
    case "/hang": return response.on("close", () => left.add(search));
    case "/slow": await pause(300); break;
    case "/chunks":
      response.writeHead(200, TEXT);
      for (const piece of PIECES) { response.write(piece); await pause(20); }
      return response.end();
  }
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const data of request) { hash.update(data); bytes += data.length; }
  const type = request.headers["content-type"] ?? "";
  const seen = JSON.stringify({ method: request.method, target: request.url, type, bytes, sha256: hash.digest("hex") });
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": seen.length }).end(seen);
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function* pieces(size) {
  for (let left = size; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536), "x");
}

function stream(parts) {
  return new ReadableStream({
    pull(controller) {
      const { value, done } = parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

const clients = {
  http: (base, ask) => new Promise((done, failed) => {
    if (ask.old || ask.follow) return done({ unsupported: true });
    const headers = { ...ask.headers };
    if (ask.size >= 0 && !ask.chunked) headers["Content-Length"] = ask.size;
    if (ask.chunked) headers["Transfer-Encoding"] = "chunked";
    if (ask.expect) headers.Expect = "100-continue";
    const options = { agent, method: ask.method, headers, signal: AbortSignal.timeout(ask.seconds * 1000) };
    const request = http.request(base + ask.path, options, async (response) => {
      try {
        const body = [];
        for await (const data of response) body.push(data);
        const fields = Object.entries(response.headersDistinct).map(([name, all]) => [name, all]);
        done({ status: response.statusCode, fields, body: Buffer.concat(body), reused: request.reusedSocket });
      } catch (error) { failed(error); }
    });
    request.on("error", failed);
    const send = async () => {
      for (const piece of pieces(ask.size)) {
        if (!request.write(piece)) await new Promise((go) => request.once("drain", go).once("close", go));
        if (request.destroyed) return;
      }
      request.end();
    };
    if (ask.expect) { request.on("continue", send); request.flushHeaders(); } else send();
  }),
  fetch: async (base, ask) => {
    if (ask.old || ask.expect || ask.headers.Connection) return { unsupported: true };
    const counted = Buffer.alloc(Math.max(ask.size, 0), "x");
    const body = ask.size < 0 ? undefined : ask.chunked ? stream(pieces(ask.size)) : counted;
    const options = { method: ask.method, headers: ask.headers, body, duplex: "half", redirect: ask.follow ? "follow" : "manual" };
    const response = await fetch(base + ask.path, { ...options, signal: AbortSignal.timeout(ask.seconds * 1000) });
    const fields = [...response.headers].filter(([name]) => name !== "set-cookie").map(([name, value]) => [name, [value]]);
    const cookies = response.headers.getSetCookie();
    if (cookies.length) fields.push(["set-cookie", cookies]);
    return { status: response.status, fields, body: Buffer.from(await response.arrayBuffer()) };
  },
};

async function outcome(client, base, ask) {
  try {
    const first = await client(base, ask);
    const { unsupported, status, fields, body, reused } = ask.twice ? await client(base, ask) : first;
    if (unsupported) return { unsupported };
    const sha256 = createHash("sha256").update(body).digest("hex");
    return { status, fields, bytes: body.length, sha256, reused: ask.twice ? reused : undefined };
  } catch (error) {
    const gaveUp = ["TimeoutError", "AbortError"].includes(error.name) || error.cause?.name === "TimeoutError";
    return { error: gaveUp ? "gave up" : `${error} ${error.cause ?? ""}` };
  }
}

const [role, where] = process.argv.slice(2);
if (role === "server") {
  http.createServer(answer).listen(Number(where), "127.0.0.1");
} else {
  let text = "";
  for await (const data of process.stdin) text += data;
  const outcomes = [];
  for (const ask of JSON.parse(text)) outcomes.push(await outcome(clients[role], where, ask));
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}
