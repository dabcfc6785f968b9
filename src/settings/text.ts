import { z } from "zod";
import { isNetwork } from "../support/ip.ts";

/** A text that is not empty and holds no control character (a line break would end a line of haproxy.cfg). */
export const text = z.string().refine((value) => value !== "" && !hasControl(value), {
  error: "empty or with a control character; give it a text, or leave the key out",
});

/** A text that becomes one word of haproxy.cfg: no white space, quotes, backslash or comment sign. */
export const word = z.string().refine((value) => /^[^\s"'\\#]+$/.test(value) && !hasControl(value), {
  error: "not one word; leave out spaces, quotes, backslashes and #",
});

/** Addresses as HAProxy's `bind` takes them (configuration manual, "bind"), several separated by a comma. */
export const bind = word.refine((value) => value.split(",").every((one) => one !== "" && !/^\d+$/.test(one)), {
  error: "not an address to listen on; write :80, 127.0.0.1:80 or [::1]:80, several with a comma between them",
});

/** A DNS name without a dot at its ends. */
export const domain = z.string().refine((value) => /^[a-z0-9_]([\w-]*\w)?(\.\w([\w-]*\w)?)*$/i.test(value), {
  error: "not a domain name; write one like service.local, without a dot at its ends",
});

/** Where Consul's HTTP API answers: `http://host:port`, `https://host:port` or `unix:///path`. */
export const consulAddress = z.string().refine(isConsulAddress, {
  error:
    "not an address of Consul; write http://127.0.0.1:8500, https://consul:8501 or unix:///run/consul.sock, no user",
});

/** Networks, several separated by a comma: `10.0.0.0/8,fd00::/8,192.0.2.7`. */
export const networks = word.refine((value) => value.split(",").every(isNetwork), {
  error: "not networks; write 10.0.0.0/8,fd00::/8",
});

/** Ports and ranges of them, several separated by a comma: `1024-65535` or `443,5000-5999`. */
export const portRanges = z.string().refine((value) => value.split(",").every(isPortRange), {
  error: "not ports; write 1024-65535 or 443,5000-5999",
});

function isPortRange(value: string): boolean {
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(value.trim()) ?? [];
  return Number(from) >= 1 && Number(to) <= 65_535 && Number(from) <= Number(to);
}

function isConsulAddress(value: string): boolean {
  if (value.startsWith("unix://")) return /^unix:\/\/\/\S+$/.test(value);
  if (!/^https?:\/\/[^\s/]/.test(value) || !URL.canParse(value)) return false;
  const url = new URL(value);
  return url.username === "" && url.password === "" && url.search === "" && url.hash === "";
}

function hasControl(value: string): boolean {
  for (let index = 0; index < value.length; index += 1) {
    const code = value.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
