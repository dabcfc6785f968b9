import { parseConfig, SectionCache } from "../../../../src/haproxy/config/parse.ts";
import { planChanges } from "../../../../src/haproxy/plan/plan.ts";
import {
  type Desired,
  isServerOperation,
  type LeavingServer,
  type Plan,
  type PlanInput,
  type RuntimeOperation,
} from "../../../../src/haproxy/plan/types.ts";
import type { Capabilities, ObservedServer } from "../../../../src/haproxy/runtime/types.ts";
import { mapEditText } from "../../../support/fake-maps.ts";

/** What HAProxy of a version can do. */
export function haproxy(major: number, minor: number): Capabilities {
  const atLeast = (wanted: number) => major * 100 + minor >= wanted;
  return {
    versionText: `${major}.${minor}.0`,
    version: [major, minor, 0],
    wait: atLeast(300),
    dynamicBackends: atLeast(304),
    needsPoolKeywords: !atLeast(300),
  };
}

/** A configuration of several sections; what did not change between two texts comes back as the same objects. */
export class Texts {
  private readonly cache = new SectionCache();

  desired(text: string, maps: Readonly<Record<string, string>> = {}): Desired {
    return { config: parseConfig(text, this.cache), maps: new Map(Object.entries(maps)) };
  }
}

export function planned(current: Desired, wanted: Desired, more: Partial<PlanInput> = {}): Plan {
  return planChanges({ current, wanted, capabilities: haproxy(2, 6), leaving: new Map(), ...more });
}

/** One operation in one line. */
export function operationText(operation: RuntimeOperation): string {
  const path = isServerOperation(operation) ? `${operation.backend}/${operation.server}` : "";
  switch (operation.kind) {
    case "add-backend":
      return `add backend ${operation.backend} from ${operation.defaults}`;
    case "publish-backend":
    case "unpublish-backend":
      return `${operation.kind.replace("-", " ")} ${operation.backend}`;
    case "edit-map":
      return `map ${operation.file}: ${mapEditText(operation)}`;
    case "replace-map":
      return `map ${operation.file}: ${operation.entries.map(({ key, value }) => `${key} ${value}`).join(", ")}`;
    case "add-server": {
      const { address, port, weight, options, check, makeCookies } = operation;
      const more = [...(check ? ["(check)"] : []), ...(makeCookies ? ["(cookies)"] : [])];
      return ["add", path, `${address}:${port}`, ...options, `weight ${weight}`, ...more].join(" ");
    }
    case "revive-server":
      return `revive ${path} weight ${operation.weight}${operation.check ? " (check)" : ""}`;
    case "retire-server":
      return `retire ${path}`;
    case "set-weight":
      return `weight ${path} ${operation.weight}`;
    case "set-state":
      return `state ${path} ${operation.state}`;
  }
}

/** What a plan does, line by line: operations, then reasons behind `!`. */
export function planText({ operations, reload = [] }: Plan): readonly string[] {
  return [
    ...operations.map(operationText),
    ...reload.map(({ code, subject, sentence }) => `! ${code}: ${subject} ${sentence}`),
  ];
}

/** As read back: up and passing. */
export function observed(backend: string, name: string, more: Partial<ObservedServer> = {}): ObservedServer {
  return {
    backend,
    name,
    address: "10.0.0.1",
    port: 80,
    weight: 1,
    maintenance: false,
    drain: false,
    operational: 2,
    check: "passed",
    ...more,
  };
}

export function leavingServer(backend: string, server: string, more: Partial<LeavingServer> = {}): LeavingServer {
  return { backend, server, address: "10.0.0.1", port: 80, options: [], since: 0, ...more };
}
