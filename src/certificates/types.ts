/** A certificate as it was read from the directory. */
export interface ReadCertificate {
  /** `shop` for `shop.pem`, for `shop.crt` beside `shop.key`, for `shop/fullchain.pem` with `shop/privkey.pem`. */
  readonly name: string;
  /** Certificate, chain in its order, and key; PEM without empty lines. */
  readonly pem: string;
  /** Host names it is for, in lower case, sorted; `*.` before one for all below it. */
  readonly hosts: readonly string[];
  /** Wall-clock ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** `rsa`, `ec`… Of a name there may be one of each: clients choose. */
  readonly keyType: string;
}

/** What can be known of a certificate, for people. */
export interface CertificateStatus {
  readonly name: string;
  /** Host names it serves; empty where it serves none but clients that ask for no known name. */
  readonly names: readonly string[];
  /** ISO 8601; left out where nothing could ever be read. */
  readonly notAfter?: string;
  /** Whole days; negative when it is over. */
  readonly daysLeft?: number;
  /** What is wrong, and what is served in its place. */
  readonly problem?: string;
}

/** One event of certificates and credentials, for the log and the status. */
export type CertificateEvent =
  | "certificate-loaded"
  | "certificate-replaced"
  | "certificate-removed"
  | "certificate-refused"
  | "certificate-expiring"
  | "credentials-changed"
  | "credentials-refused";

export type Emit = (
  type: CertificateEvent,
  severity: "info" | "warn" | "error",
  message: string,
  data: Readonly<Record<string, unknown>>,
) => void;
