import path from "node:path";
import { CredentialFiles } from "./certificates/credential-files.ts";
import { CertificateDirectory } from "./certificates/directory.ts";
import type { CertificateStatus, Emit } from "./certificates/types.ts";
import { judgeCertificates } from "./haproxy/process/judge-certificates.ts";
import type { Material } from "./render/types.ts";
import type { Settings } from "./settings/schema.ts";
import type { StatePaths } from "./store/paths.ts";
import type { Clock } from "./support/clock.ts";

export interface OperatorTls {
  /** Undefined where nothing is served over TLS. */
  readonly certificates: CertificateDirectory | undefined;
  /** What the configuration is made of, as read at the start. */
  readonly material: Material;
  /** Follows the files of people. @param onMaterial called when the configuration has to be made of others */
  follow(onMaterial: (material: Material) => void): void;
  close(): void;
}

/** Reads certificates, users and authorities, as the settings name them. */
export async function openTls(options: {
  readonly settings: Settings;
  readonly paths: StatePaths;
  /** The certificates and their list that lie there, by path. */
  readonly kept: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly emit: Emit;
}): Promise<OperatorTls> {
  const { settings, paths, kept, clock, emit } = options;
  const { https } = settings;
  const certificates =
    https.bind === undefined
      ? undefined
      : new CertificateDirectory({
          source: https.certificates === undefined ? undefined : path.resolve(https.certificates),
          preferred: https.default,
          target: paths.certificates,
          list: paths.certificateList,
          kept,
          judge: (pems) =>
            judgeCertificates({ binary: settings.haproxy.binary, directory: paths.certificateTrial, clock }, pems),
          emit,
          clock,
        });
  await certificates?.start();
  const files = new CredentialFiles({ settings, clock, emit });
  await files.read();
  const material = (): Material => ({
    ...(certificates !== undefined && { certificateList: certificates.list }),
    ...files.credentials,
  });
  let unfollow: (() => void) | undefined;
  return {
    certificates,
    material: material(),
    follow: (onMaterial) => {
      unfollow = files.follow(() => onMaterial(material()));
    },
    close: () => {
      certificates?.close();
      unfollow?.();
    },
  };
}

/** What the status says of certificates. */
export function certificatesStatus({ certificates }: OperatorTls): {
  readonly certificates: readonly CertificateStatus[];
  readonly certificatesProblem?: string;
} {
  const problem = certificates?.problem;
  return {
    certificates: certificates?.status() ?? [],
    ...(problem !== undefined && { certificatesProblem: problem }),
  };
}
