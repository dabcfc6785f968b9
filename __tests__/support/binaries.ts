/** Where the real binaries are. The set-up script exports these; on a developer's machine PATH serves. */
export const haproxyBinary = process.env["SLUICE_HAPROXY"] ?? "haproxy";
export const consulBinary = process.env["SLUICE_CONSUL"] ?? "consul";
