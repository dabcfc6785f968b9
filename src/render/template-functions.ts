import type { TemplateSource } from "../reconciler/ports.ts";
import type { Exclusion } from "../routing/types.ts";
import { SluiceError } from "../support/errors.ts";
import type { View } from "./view-schema.ts";

/** Whether the template has a file that `asset` could be asked for. */
export function hasAsset(template: TemplateSource, name: unknown): boolean {
  return typeof name === "string" && Object.hasOwn(template.sources, name);
}

/** Path of a file of authorities; empty where there is none of this name. */
export function authority(view: View | undefined, name: unknown): string {
  return view?.tls.authorities.find((one) => one.name === name)?.path ?? "";
}

/** Whether HAProxy is of this version or later; false where it could not be asked. */
export function haproxyAtLeast(view: View | undefined, version: unknown): boolean {
  const least = /^(\d+)\.(\d+)$/.exec(String(version));
  if (least === null) throw new SluiceError("ERR_TEMPLATE_FAILED", 'write haproxyAtLeast("3.2")');
  const found = /^(\d+)\.(\d+)/.exec(view?.haproxy?.version ?? "");
  if (found === null) return false;
  const [major, minor] = [Number(found[1]) - Number(least[1]), Number(found[2]) - Number(least[2])];
  return major > 0 || (major === 0 && minor >= 0);
}

/** What a template says it could not carry: of a backend's service, or of one server's instance. */
export function leftOut(backend: unknown, reason: unknown, server: unknown): Exclusion {
  const service = nameIn((backend as { readonly sources?: readonly object[] } | undefined)?.sources?.[0], "name");
  if (service === undefined || typeof reason !== "string") {
    throw new SluiceError(
      "ERR_TEMPLATE_FAILED",
      'write leaveOut(b, "what is missing, and what to do"), or with a server',
    );
  }
  const [node, id] = [nameIn(server, "node"), nameIn(server, "instanceId")];
  const instance = node === undefined || id === undefined ? undefined : `${node}/${id}`;
  return { service, ...(instance !== undefined && { instance }), code: "option-unusable", reason };
}

function nameIn(value: unknown, field: string): string | undefined {
  const found = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[field] : undefined;
  return typeof found === "string" ? found : undefined;
}
