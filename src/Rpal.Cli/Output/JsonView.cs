using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;
using Rpal.Hosting;
using Rpal.Linux;

namespace Rpal.Cli.Output;

/// <summary>For programs: one JSON object per event, each on a line of standard output.</summary>
/// <remarks><code>
/// {"event":"started","member":"a","pid":7,"slot":"0x100000000000"}
/// {"event":"line","member":"a","stream":"stdout","text":"..."}        bytes that are no UTF-8: also "base64", which is exact
/// {"event":"ended","member":"a","exitCode":137,"signal":"SIGKILL","seconds":1.5}      signal: null when it exited
/// {"event":"notice","member":"a","text":"..."}                         for the operator: a limit reached
/// {"event":"action","member":"a","text":"stopped by rpal stop"}        what the host does to it, and for whom
/// {"event":"ready","member":"a","seconds":0.4}                          its "ready" services are enabled
/// {"event":"restarting","member":"a","delaySeconds":0.2,"attempt":2,"why":"exit code 1"}
/// {"event":"givenUp","member":"a","why":"..."}                          it stays down
/// {"event":"summary","exitCode":137,"members":[{"member":"a","exitCode":137,"signal":"SIGKILL","seconds":1.5,"restarts":0}]}
/// </code></remarks>
internal sealed class JsonView(OutputWriter writer) : IRunView
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ArrayBufferWriter<byte> _object = new();

    public void Started(string member, int processId, long slotAddress)
    {
        using (Utf8JsonWriter json = Begin("started"))
        {
            json.WriteString("member", member);
            json.WriteNumber("pid", processId);
            json.WriteString("slot", $"0x{slotAddress:x}");
            json.WriteEndObject();
        }

        End();
    }

    public void Line(string member, bool isError, ReadOnlySpan<byte> line)
    {
        using (Utf8JsonWriter json = Begin("line"))
        {
            WriteText(json, member, isError, line);
            json.WriteEndObject();
        }

        End();
    }

    private static void WriteText(Utf8JsonWriter json, string member, bool isError, ReadOnlySpan<byte> line)
    {
        json.WriteString("member", member);
        json.WriteString("stream", isError ? "stderr" : "stdout");
        if (Utf8.IsValid(line))
        {
            json.WriteString("text", line);
        }
        else
        {
            json.WriteString("text", Encoding.UTF8.GetString(line));
            json.WriteBase64String("base64", line);
        }
    }

    public void Ended(string member, MemberExit exit, TimeSpan ran)
    {
        using (Utf8JsonWriter json = Begin("ended"))
        {
            WriteEnd(json, member, exit, ran);
            json.WriteEndObject();
        }

        End();
    }

    public void Notice(string member, string text) => Text("notice", member, text);

    public void Acting(string member, string text) => Text("action", member, text);

    private void Text(string name, string member, string text)
    {
        using (Utf8JsonWriter json = Begin(name))
        {
            json.WriteString("member", member);
            json.WriteString("text", text);
            json.WriteEndObject();
        }

        End();
    }

    public void Ready(string member, TimeSpan after)
    {
        using (Utf8JsonWriter json = Begin("ready"))
        {
            json.WriteString("member", member);
            json.WriteNumber("seconds", Math.Round(after.TotalSeconds, 6));
            json.WriteEndObject();
        }

        End();
    }

    public void Restarting(string member, TimeSpan delay, int attempt, string why)
    {
        using (Utf8JsonWriter json = Begin("restarting"))
        {
            json.WriteString("member", member);
            json.WriteNumber("delaySeconds", delay.TotalSeconds);
            json.WriteNumber("attempt", attempt);
            json.WriteString("why", why);
            json.WriteEndObject();
        }

        End();
    }

    public void GivenUp(string member, string why)
    {
        using (Utf8JsonWriter json = Begin("givenUp"))
        {
            json.WriteString("member", member);
            json.WriteString("why", why);
            json.WriteEndObject();
        }

        End();
    }

    /// <summary>A line of <c>rpal logs --json</c>: <c>{"time":"...","member":"a","stream":"stdout","text":"..."}</c>, as in <c>run --json</c>.</summary>
    public static void WriteLog(IBufferWriter<byte> into, Hosting.Control.LogLine line)
    {
        using var json = new Utf8JsonWriter(into, s_options);
        json.WriteStartObject();
        json.WriteString("time", Commands.LogsCommand.Time(line.Utc));
        WriteText(json, line.Member, line.IsError, line.Text);
        json.WriteEndObject();
    }

    public void Summary(FamilyResult result)
    {
        using (Utf8JsonWriter json = Begin("summary"))
        {
            json.WriteNumber("exitCode", result.ExitCode);
            json.WriteStartArray("members");
            foreach (MemberResult m in result.Members)
            {
                json.WriteStartObject();
                WriteEnd(json, m.Name, m.Exit, m.Ran);
                json.WriteNumber("restarts", m.Restarts);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        End();
    }

    private static void WriteEnd(Utf8JsonWriter json, string member, MemberExit exit, TimeSpan ran)
    {
        json.WriteString("member", member);
        json.WriteNumber("exitCode", exit.ExitCode);
        json.WriteString("signal", exit.Signal == 0 ? null : SignalName.Of(exit.Signal));
        json.WriteNumber("seconds", Math.Round(ran.TotalSeconds, 6));
    }

    private Utf8JsonWriter Begin(string name)
    {
        _object.ResetWrittenCount();
        var json = new Utf8JsonWriter(_object, s_options);
        json.WriteStartObject();
        json.WriteString("event", name);
        return json;
    }

    private void End() => writer.Write(isError: false, _object.WrittenSpan, static (into, bytes) =>
    {
        into.Write(bytes);
        into.Write("\n"u8);
    });
}
