import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import type { Scene } from "./system.ts";

/** A small file system of its own in the place of a directory. */
export interface SmallDisk {
  /** Leaves not one block. To be called again: what is replaced or removed frees some. */
  fill(): void;
  /** Takes away again what `fill` wrote. */
  free(): void;
  /** Nothing below the directory can be written from now on. What is open already, as by HAProxy, stays so. */
  readOnly(): void;
  writable(): void;
}

const kibibytes = 2_048;

/**
 * Mounts it over a directory, which is made, and unmounts it when the scene ends.
 *
 * @throws where it cannot be mounted: these tests need root
 */
export function smallDisk(scene: Scene, directory: string): SmallDisk {
  mkdirSync(directory, { recursive: true });
  mount("-t", "tmpfs", "-o", `size=${kibibytes}k,mode=0700`, "tmpfs", directory);
  scene.defer(async () => unmount(directory));
  const ballast = path.join(directory, "ballast");
  let locked = false;
  const writable = () => {
    if (locked) unmount(directory);
    locked = false;
  };
  scene.defer(async () => writable());
  return {
    fill: () => {
      const file = openSync(ballast, "a");
      const block = Buffer.alloc(4_096, "x");
      try {
        for (;;) writeSync(file, block);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "ENOSPC") throw thrown;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast),
    // A remount would not do: HAProxy's log is open for writing.
    readOnly: () => {
      mount("--bind", directory, directory);
      locked = true;
      mount("-o", "remount,bind,ro", directory);
    },
    writable,
  };
}

function mount(...args: readonly string[]): void {
  try {
    execFileSync("mount", args, { stdio: ["ignore", "ignore", "pipe"] });
  } catch (cause) {
    const message = `mount ${args.join(" ")} failed; the tests of full and read-only disks need root (CAP_SYS_ADMIN)`;
    throw new Error(message, { cause });
  }
}

/** Also where somebody still is in it. */
function unmount(directory: string): void {
  execFileSync("umount", ["--lazy", directory]);
}
