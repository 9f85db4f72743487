// The search box: components, their mistakes, conventions, experiments and parts, from the index in the page.
// `/` leads to the box, the arrows to what was found, Enter to its page, Esc out again.
(() => {
  const SHOWN = 12;
  const RANK = { part: 0, playground: 0, component: 0, experiment: 1, mistake: 2, convention: 3 };
  const SAME = [ // words that people use for the same mistake
    ["reversed", "swapped", "other way round", "inverted"],
    ["missing", "forgotten", "omitted", "no "],
    ["wrong sign", "uphill", "sign"],
    ["biased", "bias"],
    ["beta", "β"], ["alpha", "α"], ["gamma", "γ"], ["epsilon", "eps", "ε"], ["mu", "μ"], ["sigma", "σ"],
    ["lr", "learning rate"], ["ema", "moving average", "weighted average"], ["moving", "weighted"],
    ["he", "kaiming"], ["glorot", "xavier"], ["initialization", "initializer"], ["nag", "nesterov"],
    ["bce", "logistic", "binary cross entropy"], ["crossentropy", "cross entropy"],
    ["mean", "mse"], ["squared", "mse"], ["error", "loss"], ["annealing", "cosine"],
    ["checking", "check"], ["ddof", "unbiased"],
  ];
  const search = document.getElementById("search");
  const box = document.getElementById("search-box");
  const list = document.getElementById("search-list");
  const status = document.getElementById("search-status");
  // One spelling for cross-entropy and cross_entropy, normalisation and normalization, torch.randn and randn.
  const plain = text => text.toLowerCase().replace(/[-_]/g, " ")
    .replace(/(initial|general|normal|regular|standard)is/g, "$1iz").replace(/\b(torch|nn|optim|np)\./g, "");

  // Every entry: what it is, its name, what is said beside it, where it is, and what it is found by.
  let entries;
  const read = () => {
    const index = JSON.parse(document.getElementById("search-index").textContent);
    const found = [];
    const add = (kind, name, beside, address, words) => {
      const called = (index.called[address] ?? []).map(plain);
      const all = [plain(`${name} ${beside} ${words}`), ...called].join(" ");
      found.push({ kind, name, beside, address, called, title: plain(name), words: all });
    };
    for (const [address, title] of index.parts) add("part", title, "", address, "");
    for (const [address, title] of index.widgets) add("playground", title, "", address, "");
    for (const [name, words, mistakes] of index.components) {
      const address = `components/${name}.html`;
      add("component", name, "", address, words);
      mistakes.forEach((mistake, i) => add("mistake", mistake, name, `${address}#mistake-${i + 1}`, "mistake"));
    }
    for (const [name, title] of index.experiments) add("experiment", title, "", `experiments/${name}.html`, name);
    for (const [word, anchor, words] of index.conventions)
      add("convention", word, "", `conventions.html#${anchor}`, words);
    return found;
  };

  // How well a word fits an entry; 0 if not at all. The same in other words counts less.
  const fit = (word, entry) => {
    const at = text => {
      const i = entry.words.indexOf(text);
      if (i < 0) return 0;
      if (entry.title === text || entry.beside === text) return 6;
      if (entry.title.startsWith(text)) return 5;
      if (entry.title.includes(text)) return 4;
      return i === 0 || /\W/.test(entry.words[i - 1]) ? 3 : 1;
    };
    const others = SAME.filter(words => words.includes(word)).flat();
    return Math.max(at(word), ...others.map(other => at(other) / 2));
  };

  const find = text => {
    const words = plain(text).split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    entries ??= read();
    const asked = words.join(" ");
    const found = [];
    for (const entry of entries) {
      const fits = words.map(word => fit(word, entry));
      if (fits.every(Boolean)) {
        const whole = entry.title === asked ? 10 : entry.called.includes(asked) ? 5 : 0;
        found.push([whole + fits.reduce((a, b) => a + b) / fits.length - RANK[entry.kind] / 10, entry]);
      }
    }
    return found.sort((a, b) => b[0] - a[0]).map(([, entry]) => entry);
  };

  let shown = [];
  let active = -1;

  const choose = i => {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = i;
    const option = list.children[active];
    if (option) {
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      box.setAttribute("aria-activedescendant", option.id);
    } else {
      box.removeAttribute("aria-activedescendant");
    }
  };

  const close = () => {
    list.hidden = true;
    status.classList.add("hidden");
    box.setAttribute("aria-expanded", "false");
    choose(-1);
  };

  const go = entry => {
    close();
    box.value = "";
    location.href = search.dataset.root + entry.address;
  };

  const option = (entry, i) => {
    const item = document.createElement("li");
    item.id = `search-${i}`;
    item.role = "option";
    item.setAttribute("aria-selected", "false");
    const name = document.createElement("span");
    name.textContent = entry.name;
    const kind = document.createElement("small");
    kind.textContent = entry.beside ? `${entry.kind}, ${entry.beside}` : entry.kind;
    item.append(name, " ", kind);
    item.addEventListener("pointerdown", event => event.preventDefault()); // the box keeps the focus
    item.addEventListener("click", () => go(entry));
    return item;
  };

  const show = () => {
    const found = find(box.value);
    shown = found.slice(0, SHOWN);
    active = -1;
    list.replaceChildren(...shown.map(option));
    list.hidden = !shown.length;
    box.setAttribute("aria-expanded", String(shown.length > 0));
    box.removeAttribute("aria-activedescendant");
    status.textContent = box.value.trim() ? `${found.length || "nothing"} found` : "";
    if (shown.length) choose(0);
    status.classList.toggle("hidden", shown.length > 0 || !box.value.trim());
  };

  box.addEventListener("input", show);
  box.addEventListener("blur", close);
  box.addEventListener("focus", () => { if (box.value) show(); });
  box.addEventListener("keydown", event => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) {
      event.preventDefault();
      if (list.hidden) show();
      else choose((active + step + shown.length) % shown.length);
    } else if (event.key === "Enter" && !list.hidden && shown[active]) {
      event.preventDefault();
      go(shown[active]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (list.hidden) box.blur();
      else close();
    }
  });

  document.addEventListener("keydown", event => {
    const typing = event.target.closest?.("input:not([type=radio]), textarea, select, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  search.hidden = false;
})();
