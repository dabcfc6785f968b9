/**
 * What `sluice register` wraps in tests: a web server that answers every request with its name.
 *
 *   node register-app.mjs PORT NAME [--stubborn]
 *
 * /slow?ms=N     the answer comes N ms later
 * /exit?code=N   ends at once with this status
 * /close         no longer listens, but goes on
 * --stubborn     does not end by SIGTERM or SIGINT
 *
 * SIGTERM and SIGINT end it there and then: what is under way is cut. It says `ready`, and each signal it hears, on its
 * standard output.
 */
import { writeSync } from "node:fs";
import { createServer } from "node:http";

const [port, name, stubborn] = process.argv.slice(2);
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://app");
  if (pathname === "/exit") process.exit(Number(searchParams.get("code")));
  // Without its listener nothing else would keep the process.
  if (pathname === "/close") server.close(() => setInterval(() => undefined, 60_000));
  if (pathname === "/slow") setTimeout(() => response.end(name), Number(searchParams.get("ms")));
  else response.end(name);
});
server.keepAliveTimeout = 60_000;
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"]) {
  process.on(signal, () => {
    writeSync(1, `${signal}\n`);
    if (stubborn === undefined && (signal === "SIGTERM" || signal === "SIGINT")) process.exit(0);
  });
}
// On all addresses, as servers do.
server.listen(Number(port), () => writeSync(1, "ready\n"));
