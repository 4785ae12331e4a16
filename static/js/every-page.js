// What runs on every page. In production the names of files are hashed in templates but not in imports: a module that is
// named in both would run twice, so the templates name only this one.
import "./live.js";
import "./copy.js";
import "./announce.js";
import "./watch.js";
