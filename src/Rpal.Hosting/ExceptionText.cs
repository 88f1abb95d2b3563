namespace Rpal.Hosting;

/// <summary>Exceptions as a line for the operator.</summary>
internal static class ExceptionText
{
    /// <summary>Its message, and its type in front when that says more than the message: it is none that the host counts on.</summary>
    public static string OneLine(this Exception e)
    {
        string text = e.Message.ReplaceLineEndings(" ");
        bool known = e is MemberStartException or IOException or UnauthorizedAccessException or FormatException or KeyNotFoundException or InvalidOperationException or System.Text.Json.JsonException;
        return known ? text : $"{e.GetType().Name}: {text}";
    }
}
