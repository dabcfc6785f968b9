import { SluiceError } from "../../support/errors.ts";
import type { Capabilities } from "./types.ts";

type Version = Capabilities["version"];

const oldest: readonly [number, number] = [2, 6];

/**
 * `2.6.12-1+deb12u3`, `3.4-dev5-abc`, `3.2.0` as numbers.
 *
 * @returns undefined where the text does not begin with a version
 */
export function parseVersion(text: string): Version | undefined {
  const match = /^v?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?/.exec(text);
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/**
 * The version, if it is one Sluice works with.
 *
 * @param where what told it, for the message: a socket or a binary
 * @throws {SluiceError} ERR_HAPROXY_TOO_OLD below 2.6; ERR_HAPROXY_ANSWER where the text is no version
 */
export function supportedVersion(text: string, where: string): Version {
  const version = parseVersion(text);
  if (version === undefined) {
    throw new SluiceError("ERR_HAPROXY_ANSWER", `${where} says its version is ${JSON.stringify(text)}, which is none`);
  }
  if (!isAtLeast(version, oldest)) {
    throw new SluiceError(
      "ERR_HAPROXY_TOO_OLD",
      `${where} is HAProxy ${text}; Sluice needs ${oldest.join(".")} or newer, install one and name it by haproxy.binary`,
      { details: { version: text } },
    );
  }
  return version;
}

/**
 * What a process can do, by its version and the list of its commands (management guide 9.3, `help`).
 *
 * @param versionText `Version` of `show info`
 * @param help answer of `help`
 * @throws {SluiceError} as `supportedVersion`
 */
export function capabilitiesOf(versionText: string, help: string): Capabilities {
  const version = supportedVersion(versionText, "the running process");
  return {
    versionText,
    version,
    wait: /^\s*wait\s/m.test(help),
    dynamicBackends: /^\s*add backend\s/m.test(help),
    needsPoolKeywords: !isAtLeast(version, [3, 0]),
  };
}

function isAtLeast(version: Version, [major, minor]: readonly [number, number]): boolean {
  return version[0] > major || (version[0] === major && version[1] >= minor);
}
