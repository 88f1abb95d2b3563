using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using Rpal.Cli.Control;
using Rpal.Cli.Output;
using Rpal.Hosting.Control;

namespace Rpal.Cli.Commands;

/// <summary><c>rpal logs</c>: the last lines that members wrote, and those to come.</summary>
internal static class LogsCommand
{
    public static Command Create()
    {
        Option<int?> host = HostOption.Create();
        var members = new Argument<string[]>("members") { Description = "Only of these", HelpName = "NAME", Arity = ArgumentArity.ZeroOrMore };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with new lines until the family ends; exits with 0 then" };
        var tail = new Option<int?>("--tail", "-n") { Description = "At most so many of the lines that the host still has, 1 MiB a member (default: all of them)", HelpName = "N" };
        var json = new Option<bool>("--json") { Description = "One JSON object per line: time, member, stream, text" };
        var command = new Command("logs", "Shows what members wrote, with time (UTC) and name; what went to standard error goes there again.") { host, follow, tail, json, members };
        command.SetAction(parsed =>
        {
            bool asJson = parsed.GetValue(json);
            using var writer = new OutputWriter();
            bool readerGone = false;
            writer.ReaderGone += () => Volatile.Write(ref readerGone, true);
            return HostOption.With(parsed.GetValue(host), c =>
            {
                int width = asJson ? 0 : NameWidth(c.Pid, parsed.GetValue(members) ?? []);
                writer.ReaderGone += c.Dispose;
                try
                {
                    c.Ask(new ControlRequest("logs") { Members = parsed.GetValue(members), Follow = parsed.GetValue(follow), Tail = parsed.GetValue(tail) ?? int.MaxValue }, line => Write(writer, line, asJson, width));
                }
                catch (Exception) when (Volatile.Read(ref readerGone))
                {
                    // rpal logs -f | head
                }

                writer.Flush();
                if (parsed.GetValue(follow) && !Volatile.Read(ref readerGone))
                {
                    Console.Error.WriteLine($"rpal: the family of host {c.Pid} has ended.");
                }
            });
        });
        return command;
    }

    /// <summary>Of the longest name that a line can have, so that the lines begin in one column as those of rpal run.</summary>
    private static int NameWidth(int host, string[] members)
    {
        using HostClient client = HostClient.Connect(host);
        IEnumerable<string> all = client.Ask(new ControlRequest("ps")).Status?.Members.Select(m => m.Name) ?? [];
        return all.Where(n => members.Length == 0 || members.Contains(n)).Select(n => n.Length).DefaultIfEmpty().Max();
    }

    private static void Write(OutputWriter writer, LogLine line, bool json, int nameWidth)
    {
        if (json)
        {
            writer.Write(false, line, static (into, l) =>
            {
                JsonView.WriteLog(into, l);
                into.Write("\n"u8);
            });
        }
        else
        {
            writer.Write(line.IsError, line, (into, l) =>
            {
                Encoding.UTF8.GetBytes($"{Time(l.Utc)} {l.Member.PadRight(nameWidth)}  | ", into);
                into.Write(l.Text);
                into.Write("\n"u8);
            });
        }
    }

    public static string Time(DateTime utc) => utc.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
