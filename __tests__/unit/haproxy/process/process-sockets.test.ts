import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { clientConnections, isListening, parseTcp } from "../../../../src/haproxy/process/process-sockets.ts";
import { findProcess, type ProcessHandle } from "../../../../src/haproxy/process/process-table.ts";
import { eventually } from "../../../support/eventually.ts";

let server: Server;
let accepted: Socket[];
let own: ProcessHandle;

beforeEach(async () => {
  const found = findProcess(process.pid);
  if (found === undefined) throw new Error("this process is not found");
  own = found;
  accepted = [];
  server = createServer((socket) => {
    accepted.push(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  for (const socket of accepted) socket.destroy();
  server.close();
  await once(server, "close");
});

test("connections are counted by the port that is listened on: of both ends in one process, the server's", async () => {
  expect(isListening(own)).toBe(true);
  const before = (await clientConnections(own)) ?? Number.NaN;
  const sockets = [1, 2, 3].map(() => connect((server.address() as AddressInfo).port, "127.0.0.1"));
  await eventually(() => accepted.length === 3, "three connections");
  expect(await clientConnections(own)).toBe(before + 3);
  for (const socket of sockets) socket.destroy();
});

test("of a process that is not there nothing is known", async () => {
  const gone = { ...own, pid: 2 ** 22 + 1 };
  expect(isListening(gone)).toBe(false);
  expect(await clientConnections(gone)).toBeUndefined();
});

test("the kernel's table of TCP sockets, of both families", () => {
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 100 0 0 10 0",
    "   1: 00000000000000000000000001000000:C350 00000000000000000000000001000000:1F90 01 00000000:00000000 02:00000150 00000000     0        0 4712 2 0000 20 4 0 10 -1",
    "",
  ].join("\n");
  expect(parseTcp(text)).toEqual([
    { inode: "4711", localPort: "1F90", state: "0A" },
    { inode: "4712", localPort: "C350", state: "01" },
  ]);
  expect(parseTcp("")).toEqual([]);
});
