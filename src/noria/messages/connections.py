"""The words of the form of connections."""

TEXTS: dict[str, tuple[str, str]] = {
    "connections.ask_remove": (
        "删除连接 {name}？密钥文件会保留。",
        "Remove the connection {name}? Files of secrets stay.",
    ),
    "connections.bad_name": (
        "请填写名称：字母或数字开头，只含字母、数字、横线、下划线，最多 40 个字符",
        "name it: a letter or digit first, then letters, digits, dashes, underscores, at most 40 characters",
    ),
    "connections.conflict": (
        "noria.toml 刚被改过，没有保存；请重新打开再试",
        "noria.toml has just been changed, so nothing was saved; open it again",
    ),
    "connections.mend_first": ("请先改正下面的错误", "mend the errors below first"),
    "connections.more": ("更多设置", "More settings"),
    "connections.name": ("名称", "name"),
    "connections.new": ("新建连接", "New connection"),
    "connections.not_written": (
        "noria.toml 的写法无法在这里修改：{reason}",
        "noria.toml is written in a way that can't be changed here: {reason}",
    ),
    "connections.remove": ("删除连接", "Remove the connection"),
    "connections.secret_hint": (
        "写 env:变量名，或密钥本身（只写入 secrets/ 下的文件，不再显示）",
        "env:NAME, or the secret itself (it goes into a file under secrets/ and is not shown again)",
    ),
    "connections.secret_set": ("已设置；留空则不变", "set; leave it empty to keep it"),
    "connections.taken": ("已有这个名称的连接", "there is a connection of that name already"),
    "connections.used": ("还有方案在用：{plans}", "plans use it: {plans}"),
    "connections.where": (
        "保存在 noria.toml 里，注释和其他内容不变；密钥只存在 secrets/ 的文件中。",
        "Saved in noria.toml, whose comments and other parts stay; secrets are only in files under secrets/.",
    ),
    "probe.there": ("连得上（HTTP {status}）", "it is there (HTTP {status})"),
    "probe.token": ("连得上，凭据有效（HTTP {status}）", "it is there and takes the credentials (HTTP {status})"),
}
