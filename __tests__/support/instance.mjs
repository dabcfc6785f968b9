/**
 * An instance in a process of its own, to be killed or frozen: a web server that answers every request with its name.
 *
 *   node instance.mjs NAME [BACKLOG]    says `ready PORT` on standard output; ends when its standard input does
 *
 * /slow?ms=N       the answer comes N ms later
 * /stream?ms=N     the answer begins at once and takes N ms, 50 ms between its parts
 * X-Once: ID       the ID goes to standard output as `did ID` before the answer is given
 * BACKLOG          how many connections wait to be accepted, as listen(2) takes it
 *
 * When it reads `cut` on its standard input it cuts its connections and stops where it is, as if by SIGSTOP: the kernel
 * accepts for it what BACKLOG leaves room for, and drops what comes then.
 */
import { writeSync } from "node:fs";
import { createServer } from "node:http";

const name = process.argv[2] ?? "";
const backlog = Number(process.argv[3] ?? 511);
const partEveryMs = 50;

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://instance");
  const ms = Number(searchParams.get("ms") ?? 0);
  const once = request.headers["x-once"];
  if (once !== undefined) writeSync(1, `did ${once}\n`);
  // Read to its end, or the connection of a POST could not be used again.
  request.resume();
  if (pathname === "/slow") setTimeout(() => response.end(name), ms);
  else if (pathname === "/stream") stream(response, ms);
  else response.end(name);
});
server.keepAliveTimeout = 60_000;
server.listen({ port: 0, host: "127.0.0.1", backlog }, () => writeSync(1, `ready ${server.address().port}\n`));
process.stdin.setEncoding("utf8").on("data", (text) => {
  if (!text.includes("cut")) return;
  server.closeAllConnections();
  setImmediate(() => process.kill(process.pid, "SIGSTOP"));
});
process.stdin.on("end", () => process.exit(0));

function stream(response, ms) {
  response.write(name);
  const timer = setInterval(() => response.write("."), partEveryMs);
  setTimeout(() => {
    clearInterval(timer);
    response.end();
  }, ms);
}
