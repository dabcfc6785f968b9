import { SluiceError } from "../support/errors.ts";

/** Frame types of HTTP/2 (RFC 9113, 6), and the flags on the frames below. */
const frames = { data: 0, headers: 1, settings: 4 } as const;
const endStream = 1;
const endHeaders = 4;

/** What a client's connection begins with (RFC 9113, 3.4). */
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Length of a line of haproxy.cfg less what else stands on it, in bytes of the request. */
const mostBytes = 900;

/**
 * A connection of HTTP/2 with one call of `grpc.health.v1.Health/Check` on it, in hexadecimal digits: what a client may
 * send before it has heard anything. Meant for `tcp-check send-binary`, whose zero bytes `http-check` cannot send.
 *
 * @param service whose health is asked for; empty: the server's as a whole
 * @param authority the host it is asked of
 * @throws SluiceError ERR_VALUE_UNSAFE for a request that would not fit on a line of haproxy.cfg
 */
export function grpcHealthCheck(service: unknown, authority: unknown): string {
  if (typeof service !== "string" || typeof authority !== "string") {
    throw new SluiceError("ERR_TEMPLATE_FAILED", 'write grpcHealthCheck("name of the service or nothing", "host")');
  }
  const headers = Buffer.concat([
    // Entries 3 and 6 of HPACK's static table: `:method: POST`, `:scheme: http` (RFC 7541, appendix A).
    Buffer.from([0x83, 0x86]),
    // Names 4 and 1 of it, `:path` and `:authority`, with values of their own.
    Buffer.from([0x04]),
    hpackText("/grpc.health.v1.Health/Check"),
    Buffer.from([0x01]),
    hpackText(authority),
    hpackHeader("content-type", "application/grpc"),
    hpackHeader("te", "trailers"),
  ]);
  const bytes = Buffer.concat([
    Buffer.from(preface),
    frame(frames.settings, 0, 0, Buffer.alloc(0)),
    frame(frames.headers, endHeaders, 1, headers),
    frame(frames.data, endStream, 1, grpcMessage(checkRequest(service))),
  ]);
  if (bytes.length > mostBytes) {
    throw new SluiceError("ERR_VALUE_UNSAFE", `a gRPC check of ${bytes.length} bytes is too long for a line`);
  }
  return bytes.toString("hex");
}

/** `HealthCheckRequest { string service = 1 }` in protobuf. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service);
  return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
}

/** Not compressed (0), length in four bytes, message. */
function grpcMessage(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Length in three bytes, type, flags, stream in four bytes, payload (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header that is not to be indexed (RFC 7541, 6.2.2). */
function hpackHeader(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x00]), hpackText(name), hpackText(value)]);
}

/** A text without Huffman's code: its length with a prefix of 7 bits (RFC 7541, 5.1 and 5.2), then itself. */
function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = bytes.length < 127 ? [bytes.length] : [127, ...varint(bytes.length - 127)];
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Seven bits a byte, the lowest first; the top bit says that more follow. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}
