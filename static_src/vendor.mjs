// Copies the few files that pages load from npm packages into static/, with their licences.
// Run by `npm run vendor` after a version in package.json has changed; the copies are committed.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

const FONTS = {
  "schibsted-grotesk": ["schibsted-grotesk-latin-wght-normal"],
  "bricolage-grotesque": ["bricolage-grotesque-latin-wght-normal"],
  newsreader: ["newsreader-latin-wght-normal", "newsreader-latin-wght-italic"],
};

mkdirSync("static/fonts", { recursive: true });
mkdirSync("static/vendor", { recursive: true });

for (const [family, files] of Object.entries(FONTS)) {
  const source = `node_modules/@fontsource-variable/${family}`;
  for (const file of files) copyFileSync(`${source}/files/${file}.woff2`, `static/fonts/${file}.woff2`);
  copyFileSync(`${source}/LICENSE`, `static/fonts/${family}-LICENSE.txt`);
}

const htmx = JSON.parse(readFileSync("node_modules/htmx.org/package.json", "utf8"));
const code = readFileSync("node_modules/htmx.org/dist/htmx.min.js", "utf8");
writeFileSync("static/vendor/htmx.min.js", `/* htmx ${htmx.version}, licence: htmx-LICENSE.txt */\n${code}`);
copyFileSync("node_modules/htmx.org/LICENSE", "static/vendor/htmx-LICENSE.txt");

const uplot = JSON.parse(readFileSync("node_modules/uplot/package.json", "utf8"));
for (const file of ["uPlot.iife.min.js", "uPlot.min.css"]) {
  const text = readFileSync(`node_modules/uplot/dist/${file}`, "utf8");
  writeFileSync(`static/vendor/${file}`, `/* uPlot ${uplot.version}, licence: uPlot-LICENSE.txt */\n${text}`);
}
copyFileSync("node_modules/uplot/LICENSE", "static/vendor/uPlot-LICENSE.txt");
