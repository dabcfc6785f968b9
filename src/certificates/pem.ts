/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`… */
  readonly label: string;
  /** Without empty lines, in lines of 64 characters, with a newline at the end. */
  readonly text: string;
  /** Whether a password is needed (RFC 1421, `Proc-Type: 4,ENCRYPTED`; PKCS #8, `ENCRYPTED PRIVATE KEY`). */
  readonly encrypted: boolean;
}

/**
 * The blocks of a PEM file; what stands between them is passed over.
 *
 * @returns a sentence where a block is not whole
 */
export function pemBlocks(text: string): readonly PemBlock[] | string {
  const blocks: PemBlock[] = [];
  const begin = /-----BEGIN ([A-Z0-9 ]{1,40})-----/g;
  for (let found = begin.exec(text); found !== null; found = begin.exec(text)) {
    const label = found[1] ?? "";
    const end = text.indexOf(`-----END ${label}-----`, begin.lastIndex);
    const next = text.indexOf("-----BEGIN ", begin.lastIndex);
    if (end === -1 || (next !== -1 && next < end)) return `the ${label} in it has no end`;
    const lines = text.slice(begin.lastIndex, end).split(/\s*\n\s*/);
    const headers = lines.filter((line) => line.includes(":"));
    const body = lines
      .filter((line) => !line.includes(":"))
      .join("")
      .replace(/\s+/g, "");
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) return `the ${label} in it is not base64`;
    const encrypted = label.startsWith("ENCRYPTED ") || headers.some((line) => line.includes("ENCRYPTED"));
    blocks.push({ label, text: pem(label, body), encrypted });
    begin.lastIndex = end;
  }
  return blocks;
}

/** A block of its own. */
export function pem(label: string, base64: string): string {
  const lines = base64.match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
