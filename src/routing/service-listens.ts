import type { OptionKey } from "../settings/options/table.ts";
import { hostPattern } from "./patterns.ts";
import { shown } from "./shown.ts";
import { byWords, registeredAt, type Speaker } from "./speakers.ts";
import { isOfRequests } from "./tcp-mode.ts";
import type { Exclusion, ListenClaim } from "./types.ts";
import type { ServiceVoices } from "./voices.ts";
import type { Said, Wishes } from "./wishes.ts";

/** Ports times names of one service. */
const mostRows = 5_000;

/** The ports a service has opened by `listen`, with `host` as the names TLS clients ask for in mode tcp. */
export function serviceListens(
  service: string,
  mode: "http" | "tcp",
  ports: readonly number[],
  speakers: readonly Speaker[],
  voices: ServiceVoices,
  asks: Wishes,
  backend: string,
): { readonly listens: readonly ListenClaim[]; readonly excluded: readonly Exclusion[] } {
  const said = asks.said.listen;
  const since = Math.min(Number.MAX_SAFE_INTEGER, ...speakers.map(({ instance }) => registeredAt(instance)));
  const { options } = voices.base;
  const claim = (port: number, sni: string): ListenClaim => ({
    port,
    mode,
    sni,
    backend,
    priority: options.priority ?? 0,
    since,
    ...(options.allow !== undefined && { allow: options.allow }),
    ...(options.deny !== undefined && { deny: options.deny }),
    origin: { service, ...(said ?? { kind: "tag", text: `listen ${port}` }) },
  });
  if (mode === "http") return { listens: ports.map((port) => claim(port, "")), excluded: [] };
  const excluded: Exclusion[] = [];
  const names = new Set<string>();
  for (const words of byWords(speakers).keys()) {
    for (const written of voices.of(words).base.options.host ?? []) names.add(hostPattern(written).host);
  }
  for (const { instance, words } of speakers) {
    const of = { service, instance: `${instance.node}/${instance.id}`, code: "option-unusable" as const };
    for (const [key, where] of Object.entries(words.base.said) as [OptionKey, Said][]) {
      if (!isOfRequests(key, words.base.options)) continue;
      const reason = `${where.kind} ${shown(where.text)} means nothing with mode=tcp; leave it out`;
      excluded.push({ ...of, reason });
    }
    if (words.routes.size > 0) {
      excluded.push({ ...of, reason: "named routes mean nothing with mode=tcp; leave them out" });
    }
  }
  if (ports.length === 0) {
    const reason = "with mode=tcp it is reached by a port of its own alone; register haproxy.listen=<port>";
    excluded.push({ service, code: "option-unusable", reason });
  }
  const most = Math.max(1, Math.floor(mostRows / Math.max(1, ports.length)));
  if (names.size > most) {
    const reason = `it wants ${names.size} names on each of ${ports.length} ports, ${mostRows} are the most together; those beyond are left out`;
    excluded.push({ service, code: "option-unusable", reason });
  }
  const wanted = names.size === 0 ? [""] : [...names].sort().slice(0, most);
  return { listens: ports.flatMap((port) => wanted.map((sni) => claim(port, sni))), excluded };
}
