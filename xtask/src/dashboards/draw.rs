//! Pictures of the dashboards over a made-up month: Grafana's chart components in headless Chromium. It is not Grafana
//! itself: plugin, variables and provisioning are not exercised.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{check, in_path, root, say, step, work_dir};
use crate::stage::Stage;
use crate::{build, fill, setup};

const AREA: &str = "draw";

/// Fonts and pictures in the style sheets of the components.
const LOADERS: &[&str] = &["svg=text", "ttf=dataurl", "woff=dataurl", "woff2=dataurl"];

/// Writes one PNG for each dashboard into `out`.
pub(crate) fn run(out: &Path) -> Result<()> {
    if !in_path("chromium") {
        bail!("no chromium: apt-get install --no-install-recommends chromium");
    }
    setup::all()?;
    build::all()?;
    let tools = tools()?;
    step(AREA, "types of the dashboards, against Grafana's", || {
        check_types(&tools)
    })?;
    let mut stage = Stage::new()?;
    let store = fill::filled(&mut stage)?;
    let dashboards = root().join("dashboards");
    check(
        Command::new(build::pages())
            .arg("--dashboards")
            .arg(&dashboards)
            .args(["--store", &store.to_string(), "--out"])
            .arg(&tools),
    )?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for entry in std::fs::read_dir(&tools)? {
        let page = entry?.path();
        if page.extension().is_some_and(|e| e == "html") {
            picture(&page, out)?;
        }
    }
    Ok(())
}

/// Folder with the components and the bundled program that draws.
fn tools() -> Result<PathBuf> {
    let (source, dir) = (root().join("tests/draw"), work_dir().join("draw"));
    std::fs::create_dir_all(&dir)?;
    for name in ["package.json", "draw.tsx", "scrollbars.mjs", "types.mjs"] {
        std::fs::copy(source.join(name), dir.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    if !dir.join("node_modules").exists() {
        step(AREA, "npm install (Grafana's components)", || {
            check(Command::new("npm").current_dir(&dir).args([
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ]))?;
            check(
                Command::new("node")
                    .current_dir(&dir)
                    .arg("node_modules/esbuild/install.js"),
            )
        })?;
    }
    let mut bundle = Command::new("node_modules/.bin/esbuild");
    bundle.current_dir(&dir).args([
        "draw.tsx",
        "--bundle",
        "--outfile=draw.js",
        "--jsx=automatic",
        "--log-level=error",
        "--define:process.env.NODE_ENV=\"production\"",
        "--alias:react-custom-scrollbars-2=./scrollbars.mjs",
    ]);
    bundle.args(LOADERS.iter().map(|loader| format!("--loader:.{loader}")));
    check(&mut bundle)?;
    Ok(dir)
}

/// Compares the dashboards with Grafana's published types (@grafana/schema): unknown keys and wrong words are errors.
fn check_types(tools: &Path) -> Result<()> {
    check(
        Command::new("node")
            .current_dir(tools)
            .arg("types.mjs")
            .arg(root().join("dashboards")),
    )?;
    check(Command::new("node_modules/.bin/tsc").current_dir(tools).args([
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--moduleResolution",
        "bundler",
        "--module",
        "esnext",
        "--target",
        "es2022",
        "types.ts",
    ]))
}

fn picture(page: &Path, out: &Path) -> Result<()> {
    let name = page.file_stem().context("a page without a name")?;
    let file = std::path::absolute(out)?.join(name).with_extension("png");
    check(
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--allow-file-access-from-files",
                "--virtual-time-budget=8000",
                "--window-size=1600,2200",
            ])
            .arg(format!(
                "--user-data-dir={}",
                work_dir().join("draw/profile").display()
            ))
            .arg(format!("--screenshot={}", file.display()))
            .arg(format!("file://{}", page.display())),
    )?;
    say(AREA, &file.display().to_string());
    Ok(())
}
