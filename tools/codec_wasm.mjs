// Compiles the entropy coder of switch files for browsers: native/codec.cpp to site/page/codec.wasm.
//
//     npm install --no-save @yowasp/clang@22.0.0-git20542-10
//     node tools/codec_wasm.mjs
//
// and keeps the hash of the source in site/page/codec.sha256, by which a test tells that both belong together.
// That Clang is WebAssembly itself, so the bytes are the same on every machine.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { commands } from "@yowasp/clang";

const root = new URL("../src/maxtunnel/", import.meta.url);
const source = readFileSync(new URL("native/codec.cpp", root), "utf8");
const flags = [
  "--target=wasm32-wasip1", "-std=c++17", "-O2", "-msimd128", "-mexec-model=reactor",
  // There are no exceptions: where there is no memory, the browser ends the call.
  "-fno-exceptions", "-Dtry=if(true)", "-Dcatch(error)=else",
  ...["learned", "malloc", "free"].map((name) => `-Wl,--export=${name}`), "-Wl,--strip-all",
];
const found = await commands["clang++"]([...flags, "codec.cpp", "-o", "codec.wasm"], { "codec.cpp": source }, {});
writeFileSync(new URL("site/page/codec.wasm", root), found["codec.wasm"]);
const hash = createHash("sha256").update(source).digest("hex");
writeFileSync(new URL("site/page/codec.sha256", root), `${hash}  codec.cpp\n`);
